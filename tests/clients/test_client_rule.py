"""The client rule, with the same cases for the Python and the JavaScript client."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from swallowtail.client.log_position import Decision, LogPosition, Payload, Since, StepTexts
from tests.harness.services import require

HERE = Path(__file__).parent
CASES = json.loads((HERE / "client_rule.json").read_text(encoding="utf-8"))
POSITIONS, TEXTS = CASES["positions"], CASES["texts"]


def _named(case: dict[str, Any]) -> str:
    return str(case["name"]).replace(" ", "-")


@pytest.fixture(scope="module")
def javascript() -> dict[str, Any]:
    """Return the results of the JavaScript client for every case."""
    command = [require("node"), str(HERE / "client_rule.mjs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    played: dict[str, Any] = json.loads(done.stdout)
    return played


@pytest.mark.parametrize("case", POSITIONS, ids=_named)
def test_the_python_client_follows_the_rule(case: dict[str, Any]) -> None:
    position = LogPosition(_since(case.get("since")), snapshot=case.get("snapshot", False))
    results = [_play(position, step) for step in case["steps"]]
    last = position.last and [position.last["seq"], position.last["epoch"]]
    assert {"results": results, "last": last, "settled": position.settled} == _expected(case)


@pytest.mark.parametrize("place", range(len(POSITIONS)), ids=[_named(case) for case in POSITIONS])
def test_the_javascript_client_follows_the_rule(place: int, javascript: dict[str, Any]) -> None:
    assert javascript["positions"][place] == _expected(POSITIONS[place])


@pytest.mark.parametrize("case", TEXTS, ids=_named)
def test_the_python_client_joins_streamed_text(case: dict[str, Any]) -> None:
    streams, known = StepTexts(), []
    for attempt, offset, text in case["pieces"]:
        stream = streams.add({"step_id": "s", "attempt": attempt, "offset": offset, "text": text})
        known.append(stream and [stream.text, stream.start])
    assert known == case["known"]


@pytest.mark.parametrize("place", range(len(TEXTS)), ids=[_named(case) for case in TEXTS])
def test_the_javascript_client_joins_streamed_text(place: int, javascript: dict[str, Any]) -> None:
    assert javascript["texts"][place] == TEXTS[place]["known"]


def _expected(case: dict[str, Any]) -> dict[str, Any]:
    results = [{"apply": step.get("apply", []), "ask": step.get("ask", False)} for step in case["steps"]]
    return {"results": results, "last": case["last"], "settled": case["settled"]}


def _since(place: list[Any] | None) -> Since | None:
    return None if place is None else Since(seq=place[0], epoch=place[1] if len(place) > 1 else "a")


def _play(position: LogPosition, step: dict[str, Any]) -> dict[str, Any]:
    decision = Decision()
    if "asked" in step:
        position.ask()
    elif "answer" in step:
        mode, head, epoch = [*step["answer"], "a"][:3]
        decision = position.receive_answer({"mode": mode, "head": head, "epoch": epoch})
    elif "skip" in step:
        after, seq, epoch = [*step["skip"], "a"][:3]
        decision = position.receive_skip({"after": after, "seq": seq, "epoch": epoch})
    elif "head" in step:
        decision = Decision(ask=position.receive_head(seq=step["head"][0], epoch=step["head"][1]))
    else:
        decision = position.receive(_event(step))
    return {"apply": [_name(event) for event in decision.apply], "ask": decision.ask}


def _event(step: dict[str, Any]) -> Payload:
    base = {"task_id": "t", "type": "task_update", "attempt": 1, "data": {"status": step.get("status")}}
    if "take" in step:
        return {**base, **(_since(step["take"]) or {})}
    if "live" in step:
        return {**base, "attempt": step["live"][0], "rev": step["live"][1]}
    return {"task_id": "t", "type": "task_update", "data": {}, "name": step["plain"]}


def _name(event: Payload) -> Any:
    return event.get("name") or event.get("seq") or f"{event['attempt']}/{event['rev']}"
