"""Fixture: the payloads that are searched for secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swallowtail.app.core.privacy import redaction, redaction_rules


@pytest.fixture
def redacted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every payload that is searched from now on, to hide secrets or to find them."""
    payloads: list[Any] = []

    def count(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def counted(value: Any, rules: Any) -> Any:
            if isinstance(value, dict) and "street" in value:
                payloads.append(value)
            return work(value, rules)

        return counted

    for module, name in ((redaction, "_redact"), (redaction_rules, "_secret_texts")):
        monkeypatch.setattr(module, name, count(getattr(module, name)))
    return payloads
