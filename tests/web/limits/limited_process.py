"""Makes the limits of a process whose Redis is unavailable, on a clock that a test sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.security.actors import Actor
from swallowtail.app.web.http.trusted_proxies import TrustedProxies
from swallowtail.app.web.limits.limits import Limits
from tests.harness.settings import make_settings
from tests.web.limits.test_token_bucket import Clock

ANN = Actor("user", "u1", "ann", user_id="u1")
BOB = Actor("user", "u2", "bob", user_id="u2")
HERE, THERE = "127.0.0.1", "192.0.2.7"


_limits: list[Limits] = []


def make_limits(tmp_path: Path, clock: Clock, **values: Any) -> Limits:
    """Limits of a process whose Redis is unavailable."""
    settings = make_settings(var_dir=tmp_path, **values)
    _limits.append(Limits(settings, TrustedProxies(settings.trusted_proxies), clock))
    return _limits[-1]


@pytest.fixture
def clock() -> Iterator[Clock]:
    yield Clock()
    while _limits:
        _limits.pop().close()
