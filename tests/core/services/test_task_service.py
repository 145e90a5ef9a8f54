"""The one door: what may come in, and that every refusal names its field and leaves nothing behind."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import pytest

from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound, SwallowtailError, TooLarge
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.tasks import Submission
from swallowtail.app.core.validation import check_instance_id, check_json, check_line, check_task_id
from tests.core.domain import ERROR, Domain
from tests.harness.settings import make_settings

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "topic": {"type": "string", "minLength": 2, "maxLength": 20},
        "tone": {"type": "string", "default": "plain"},
        "platforms": {"type": "array", "items": {"enum": ["x", "mastodon"]}, "maxItems": 2},
        "where": {"type": "object", "properties": {"url": {"type": "string", "format": "uri"}}},
        "anything": True,
        "nothing": {"default": None},
    },
    "required": ["topic"],
    "additionalProperties": False,
}
ANONYMOUS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def door(domain: Domain) -> Domain:
    """A domain with agents: one with a strict schema, one that takes anything."""
    cards = [
        AgentCard("campaign", "A campaign", "Writes", "1", SCHEMA, soft_time_limit=5.0, hard_time_limit=9.0),
        AgentCard("anything", "Anything", "", "1", {}),
    ]
    register(domain.db, cards)
    return domain


def _submit(door: Domain, given: Any = None, **values: Any) -> task_service.Outcome:
    return task_service.submit(
        door.rt, Submission(**{"instance_id": "demo", "kind": "campaign", "input": given, **values})
    )


def test_a_submission_fills_in_defaults_and_limits(door: Domain) -> None:
    outcome = _submit(door, {"topic": "Tea"})
    assert (outcome.created, outcome.seq, outcome.epoch) == (True, 1, door.events()[0].epoch)
    assert (outcome.task["title"], outcome.task["input"]) == ("A campaign", {"tone": "plain", "topic": "Tea"})
    row = door.task(outcome.task["id"])
    assert (row.soft_time_limit, row.hard_time_limit, row.expires_at, row.submitted_by) == (5.0, 9.0, None, "api")


def test_what_is_given_wins_over_defaults(door: Domain) -> None:
    outcome = _submit(door, {"topic": "Tea", "tone": "bold"}, title="  Mine ", expires_in=60, submitted_by="cli")
    assert (outcome.task["title"], outcome.task["input"]["tone"]) == ("Mine", "bold")
    assert outcome.task["submitted_by"] == "cli"
    assert outcome.task["expires_at"] is not None


def test_no_input_is_an_empty_one(door: Domain) -> None:
    assert _submit(door, None, kind="anything").task["input"] == {}


def test_a_process_is_hurried_after_a_submission_and_a_retry_that_were_stored(door: Domain) -> None:
    seen: list[int] = []
    door.rt.hurry = lambda: seen.append(door.head())
    _submit(door, {"topic": "Tea"})
    task_service.retry(door.rt, door.failed())
    assert seen == [1, 6]


REFUSALS: list[tuple[dict[str, Any], str, type[SwallowtailError]]] = [
    ({"instance_id": ""}, "instance_id", InvalidInput),
    ({"instance_id": "-a"}, "instance_id", InvalidInput),
    ({"instance_id": "a b"}, "instance_id", InvalidInput),
    ({"instance_id": "a\n"}, "instance_id", InvalidInput),
    ({"instance_id": "x" * 65}, "instance_id", InvalidInput),
    ({"instance_id": "é"}, "instance_id", InvalidInput),
    ({"instance_id": 7}, "instance_id", InvalidInput),
    ({"instance_id": None}, "instance_id", InvalidInput),
    ({"instance_id": "nowhere"}, "instance_id", NotFound),
    ({"kind": ""}, "kind", InvalidInput),
    ({"kind": "unknown"}, "kind", InvalidInput),
    ({"kind": "a\x00"}, "kind", InvalidInput),
    ({"kind": "k" * 101}, "kind", InvalidInput),
    ({"kind": ["campaign"]}, "kind", InvalidInput),
    ({"title": ""}, "title", InvalidInput),
    ({"title": "   "}, "title", InvalidInput),
    ({"title": "two\nlines"}, "title", InvalidInput),
    ({"title": "a\u2028b"}, "title", InvalidInput),
    ({"title": "a\ud800"}, "title", InvalidInput),
    ({"title": "t" * 201}, "title", InvalidInput),
    ({"title": 5}, "title", InvalidInput),
    ({"idempotency_key": ""}, "Idempotency-Key", InvalidInput),
    ({"idempotency_key": "k" * 201}, "Idempotency-Key", InvalidInput),
    ({"idempotency_key": "a\tb"}, "Idempotency-Key", InvalidInput),
    ({"expires_in": 0}, "expires_in", InvalidInput),
    ({"expires_in": -1}, "expires_in", InvalidInput),
    ({"expires_in": 1e9}, "expires_in", InvalidInput),
    ({"expires_in": 10**400}, "expires_in", InvalidInput),
    ({"expires_in": float("nan")}, "expires_in", InvalidInput),
    ({"expires_in": float("inf")}, "expires_in", InvalidInput),
    ({"expires_in": True}, "expires_in", InvalidInput),
    ({"expires_in": "60"}, "expires_in", InvalidInput),
    ({"submitted_by": "a\x07"}, "submitted_by", InvalidInput),
    ({"input": None}, "input.topic", InvalidInput),
    ({"input": {}}, "input.topic", InvalidInput),
    ({"input": []}, "input", InvalidInput),
    ({"input": "text"}, "input", InvalidInput),
    ({"input": {"topic": 1}}, "input.topic", InvalidInput),
    ({"input": {"topic": "T"}}, "input.topic", InvalidInput),
    ({"input": {"topic": "Tea", "colour": 1}}, "input.colour", InvalidInput),
    ({"input": {"topic": "Tea", "platforms": ["x", "fax"]}}, "input.platforms[1]", InvalidInput),
    ({"input": {"topic": "Tea", "platforms": ["x"] * 3}}, "input.platforms", InvalidInput),
    ({"input": {"topic": "Tea", "where": {"url": 5}}}, "input.where.url", InvalidInput),
    ({"input": {"topic": "Te\x00a"}}, "input.topic", InvalidInput),
    ({"input": {"topic": "Te\x1b[31m"}}, "input.topic", InvalidInput),
    ({"input": {"topic": "Te\ud800"}}, "input.topic", InvalidInput),
    ({"input": {"topic": float("nan")}}, "input.topic", InvalidInput),
    ({"input": {"topic": float("-inf")}}, "input.topic", InvalidInput),
    ({"input": {"topic": 2**63}}, "input.topic", InvalidInput),
    ({"input": {"topic": {1, 2}}}, "input.topic", InvalidInput),
    ({"input": {"topic": b"Tea"}}, "input.topic", InvalidInput),
    ({"input": {"anything": [{"a": ["b\x07"]}]}}, "input.anything[0].a[0]", InvalidInput),
    ({"input": {"topic": "Tea", "anything": "x" * 300_000}}, "input", TooLarge),
]


@pytest.mark.parametrize(("wrong", "field", "error"), REFUSALS)
def test_a_bad_submission_is_refused_with_its_field_and_leaves_nothing(
    door: Domain, wrong: dict[str, Any], field: str, error: type[SwallowtailError]
) -> None:
    with pytest.raises(error) as refused:
        _submit(door, **{"given": {"topic": "Tea"}, **{("given" if k == "input" else k): v for k, v in wrong.items()}})
    assert refused.value.field == field
    assert refused.value.message
    assert len(refused.value.message) < 500
    assert door.story() == []
    assert door.wishes() == {}


def test_every_finding_about_an_input_is_listed_the_first_first(door: Domain) -> None:
    with pytest.raises(InvalidInput) as refused:
        _submit(door, {"platforms": ["fax", "x", "telex"][:2] * 1, "colour": 1, "topic": 5})
    fields = [finding["field"] for finding in refused.value.errors]
    assert refused.value.field == fields[0]
    assert set(fields) == {"input.colour", "input.platforms[0]", "input.topic"}
    with pytest.raises(InvalidInput) as refused:
        _submit(door, {"platforms": ["fax"] * 100})
    assert len(refused.value.errors) == 20


def test_a_key_that_is_not_allowed_is_found(door: Domain) -> None:
    with pytest.raises(InvalidInput) as refused:
        _submit(door, {"a\x00": 1}, kind="anything")
    assert refused.value.field is not None
    assert "(a key)" in refused.value.field


@pytest.mark.parametrize("opening", ["list", "object", "both"])
def test_nesting_of_ten_thousand_levels_is_refused(door: Domain, opening: str) -> None:
    deep: Any = 1
    for level in range(10_000):
        deep = [deep] if opening == "list" or (opening == "both" and level % 2) else {"k": deep}
    with pytest.raises(InvalidInput) as refused:
        _submit(door, deep, kind="anything")
    assert (refused.value.field, refused.value.message) == ("input", "nested deeper than 32 levels")
    assert door.story() == []


def test_nesting_of_the_allowed_depth_is_taken_and_one_more_is_not() -> None:
    settings = make_settings(max_json_depth=4)
    check_json([[[1]]], "input", settings)
    with pytest.raises(InvalidInput):
        check_json([[[[1]]]], "input", settings)


def test_input_of_the_allowed_size_is_taken_and_one_byte_more_is_not() -> None:
    settings = make_settings(max_body_bytes=1024)
    check_json("x" * 1022, "input", settings)
    with pytest.raises(TooLarge) as refused:
        check_json("x" * 1023, "input", settings)
    assert refused.value.field == "input"
    with pytest.raises(TooLarge):
        check_json("é" * 512, "input", settings)


def test_a_long_key_above_a_long_list_costs_no_memory() -> None:
    value = {"k" * 100_000: [0] * 70_000}
    tracemalloc.start()
    check_json(value, "input", make_settings())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000_000


def test_text_of_many_lines_and_scripts_is_taken(door: Domain) -> None:
    text = "Zeile\r\n\tnächste 步骤 👩‍🚀 \u200d\u202e"
    assert _submit(door, {"a": text}, kind="anything").task["input"] == {"a": text}


def test_the_same_key_gives_the_same_task_and_another_submission_is_a_conflict(door: Domain) -> None:
    first = _submit(door, {"topic": "Tea"}, idempotency_key="k")
    door.ledger.request_cancel(first.task["id"])
    again = _submit(door, {"topic": "Tea", "tone": "plain"}, idempotency_key=" k ")
    assert (again.created, again.task["id"], again.task["status"]) == (False, first.task["id"], "CANCELLED")
    assert (again.seq, again.epoch) == (2, first.epoch)
    for other in ({"given": {"topic": "Two"}}, {"title": "Other"}, {"expires_in": 5}, {"kind": "anything"}):
        with pytest.raises(Conflict) as refused:
            _submit(door, **{"given": {"topic": "Tea"}, "idempotency_key": "k", **other})
        assert refused.value.field == "Idempotency-Key"
    assert door.story() == ["SUBMITTED", "CANCELLED"]


def test_the_same_key_at_once_gives_one_task_to_everybody(door: Domain) -> None:
    outcomes: list[task_service.Outcome] = []
    gate = threading.Barrier(6)

    def submit() -> None:
        gate.wait()
        outcomes.append(_submit(door, {"topic": "Tea"}, idempotency_key="k"))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({outcome.task["id"] for outcome in outcomes}) == 1
    assert sorted(outcome.created for outcome in outcomes) == [False] * 5 + [True]
    assert {(outcome.seq, outcome.epoch) for outcome in outcomes} == {(1, door.events()[0].epoch)}


def test_cancels_and_retries_tell_the_number_of_their_event(door: Domain) -> None:
    task_id = _submit(door, {"topic": "Tea"}).task["id"]
    cancelled = task_service.cancel(door.rt, task_id.upper())
    assert (cancelled.task["status"], cancelled.task["last_seq"], cancelled.seq) == ("CANCELLED", 2, 2)
    assert task_service.cancel(door.rt, task_id).seq == 2
    retried = task_service.retry(door.rt, task_id)
    assert (retried.task["status"], retried.seq) == ("RETRYING", 3)
    assert {cancelled.epoch, retried.epoch} == {door.events()[0].epoch}


@pytest.mark.parametrize(
    "task_id", ["", "x", None, 5, "{" + ANONYMOUS + "}", ANONYMOUS.replace("-", ""), ANONYMOUS + "\n"]
)
def test_a_task_id_that_is_none_is_refused(door: Domain, task_id: Any) -> None:
    for act in (task_service.cancel, task_service.retry):
        with pytest.raises(InvalidInput) as refused:
            act(door.rt, task_id)
        assert refused.value.field == "task_id"


def test_a_task_id_of_nothing_is_not_found(door: Domain) -> None:
    for act in (task_service.cancel, task_service.retry):
        with pytest.raises(NotFound) as refused:
            act(door.rt, ANONYMOUS)
        assert refused.value.field == "task_id"


@pytest.mark.parametrize("step", ["", "a\nb", "\x00", "x" * 201, 5, "unknown"])
def test_a_step_to_retry_from_must_be_one(door: Domain, step: Any) -> None:
    claim = door.running()
    door.perform(claim, "a")
    door.runs.fail(claim, ERROR)
    told = door.story()
    with pytest.raises(InvalidInput) as refused:
        task_service.retry(door.rt, claim.task_id, step)
    assert refused.value.field == "from_step"
    assert door.story() == told
    assert task_service.retry(door.rt, claim.task_id, "a").task["status"] == "RETRYING"


def test_an_instance_is_created_with_an_id_of_the_callers_or_a_new_one(door: Domain) -> None:
    named = task_service.create_instance(door.rt, "  Named  ", "my_own-1")
    assert (named["id"], named["name"], named["seq"]) == ("my_own-1", "Named", 0)
    fresh = task_service.create_instance(door.rt, "Fresh")
    assert check_instance_id(fresh["id"]) == fresh["id"]
    with pytest.raises(Conflict) as refused:
        task_service.create_instance(door.rt, "Again", "my_own-1")
    assert refused.value.field == "id"


@pytest.mark.parametrize(
    ("name", "instance_id", "field"),
    [("", None, "name"), ("a\x00", None, "name"), ("n" * 201, None, "name"), (5, None, "name"), ("N", "", "id"),
     ("N", "_a", "id"), ("N", "a/b", "id"), ("N", "a" * 65, "id"), ("N", "a\n", "id")],
)  # fmt: skip
def test_a_bad_name_or_id_of_an_instance_is_refused(door: Domain, name: Any, instance_id: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        task_service.create_instance(door.rt, name, instance_id)
    assert refused.value.field == field


def test_lines_and_ids_come_back_as_they_are_kept() -> None:
    assert check_line("  x ", "f", longest=3) == "x"
    assert check_line("", "f", longest=3, least=0) == ""
    assert check_task_id(ANONYMOUS.replace("0", "a").replace("4", "4").upper()) == ANONYMOUS.replace("0", "a")
    assert check_instance_id("A-_9") == "A-_9"
