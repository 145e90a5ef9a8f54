"""The stream that tests of delivery drive."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swallowtail.app.delivery.streams import gap as gap_module
from swallowtail.app.delivery.streams import instance_stream as stream_module
from tests.delivery.fake_stream import Scene


@pytest.fixture
def read_pause() -> float:
    return 0.0


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, read_pause: float) -> Callable[..., Scene]:
    monkeypatch.setattr(gap_module, "GAP_PATIENCE", 0.0)
    monkeypatch.setattr(stream_module, "READ_PAUSE", read_pause)
    return Scene
