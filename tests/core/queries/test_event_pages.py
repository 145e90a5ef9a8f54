"""A page of large events is parsed in a thread, so that it delays no other request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swallowtail.app.core.ledger.event_log import read_events
from swallowtail.app.core.tables.unreadable import deserialize
from tests.core.domain import Domain, compute_by

OUTPUT: list[Any] = [[] for _ in range(8000)]


def test_events_are_parsed_off_the_loop(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = domain.running()
    domain.perform(claim, "a", OUTPUT)
    away, parsed = [False], []

    def offload(work: Callable[..., Any], /, *arguments: Any) -> Any:
        away[0] = True
        try:
            return work(*arguments)
        finally:
            away[0] = False

    def note(text: str) -> Any:
        parsed.append(away[0])
        return deserialize(text)

    monkeypatch.setattr("swallowtail.app.core.ledger.event_log.deserialize", note)
    compute_by(domain, offload)
    with domain.db.read() as session:
        events = read_events(session, "demo", 0, 100)
    assert [event.data["output"] for event in events if event.data.get("completed_at")] == [OUTPUT]
    assert parsed == [True] * len(events)
