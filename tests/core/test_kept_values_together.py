"""What is kept beside payloads is read with the rows that are shown, a page at once, and opened away from the loop."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from sqlalchemy import event

from app.core.catalogue import AgentCard, register
from app.core.export import export_instance
from app.core.keyring import Keyring
from app.core.offload import SMALL
from app.core.planning import NewSchedule, add_schedule
from app.core.reads import list_tasks
from tests.core.conftest import NewStage
from tests.core.stage import Away, Stage

KEY = f"one:{base64.b64encode(bytes(32)).decode()}"


def _make(stage: Stage, number: int) -> None:
    given = {"password": f"open sesame {number}", "text": "open"}
    claim = stage.running(input=given)
    for key in "ab":
        stage.perform(claim, key, given)
    stage.runs.complete(claim, given)
    add_schedule(stage.rt, NewSchedule("demo", f"S {number}", "any", given, interval_seconds=60))


def _count_asked(stage: Stage) -> int:
    asked: list[str] = []

    def note(*given: Any) -> None:
        asked.append(str(given[2]))

    event.listen(stage.db.engine, "before_cursor_execute", note)
    try:
        lines = list(export_instance(stage.rt, "demo"))
    finally:
        event.remove(stage.db.engine, "before_cursor_execute", note)
    assert b"open sesame" not in b"".join(lines)
    assert b"[redacted:secret]" in b"".join(lines)
    return len(asked)


def test_an_export_asks_no_more_often_for_a_page_of_many_values_than_for_one_of_few(new_stage_on: NewStage) -> None:
    stage = new_stage_on()
    register(stage.db, [AgentCard(kind="any", title="Any", description="", version="1", input_schema={})])
    _make(stage, 0)
    stage.db.policies.forget()
    few = _count_asked(stage)
    for number in range(1, 8):
        _make(stage, number)
    stage.db.policies.forget()
    assert _count_asked(stage) == few


def test_the_secret_texts_of_a_list_of_tasks_are_opened_where_that_holds_nobody_up(
    new_stage_on: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, away, opened = new_stage_on(encryption_keys=KEY), Away(), list[bool]()
    for number in range(60):
        stage.submit(input={"password": f"{number}" + "x" * SMALL}, title="T")
    stage.db.policies.forget()

    def watched(keyring: Keyring, *given: Any) -> bytes:
        opened.append(away.is_at_work)
        return keep(keyring, *given)

    keep = Keyring.open
    monkeypatch.setattr(Keyring, "open", watched)
    stage.db.compute_by(away)
    with stage.db.read() as session:
        assert len(list_tasks(session, "demo", limit=100)[0]) == 60
    assert opened == [True] * 60
