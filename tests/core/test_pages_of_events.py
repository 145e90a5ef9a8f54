"""A page of large events is parsed where it holds nobody up, however many clients ask for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from app.core.log import read_events
from app.core.unreadable import deserialize
from tests.core.stage import Stage

OUTPUT: list[Any] = [[] for _ in range(8000)]


def test_events_are_parsed_off_the_loop(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = stage.running()
    stage.perform(claim, "a", OUTPUT)
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

    monkeypatch.setattr("app.core.log.deserialize", note)
    stage.db.compute_by(offload)
    with stage.db.read() as session:
        events = read_events(session, "demo", 0, 100)
    assert [event.data["output"] for event in events if event.data.get("completed_at")] == [OUTPUT]
    assert parsed == [True] * len(events)
