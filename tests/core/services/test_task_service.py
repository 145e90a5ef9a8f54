"""The task service: what it accepts; every refusal names its field and stores nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from swallowtail.app.core.errors import Conflict, InvalidInput, NotFound, SwallowtailError, TooLarge
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.validation import check_instance_id
from tests.core.domain import ERROR, Domain

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
def agents(domain: Domain) -> Domain:
    """A domain with two agents: one with a strict schema, one that accepts anything."""
    cards = [
        AgentCard("campaign", "A campaign", "Writes", "1", SCHEMA, soft_time_limit=5.0, hard_time_limit=9.0),
        AgentCard("anything", "Anything", "", "1", {}),
    ]
    register(domain.db, cards)
    return domain


def _submit(domain: Domain, payload: Any = None, **values: Any) -> task_service.ActionResult:
    instance_id = values.pop("instance_id", "demo")
    options = {name: values.pop(name) for name in ("idempotency_key", "submitted_by") if name in values}
    new = NewTask(**{"kind": "campaign", "input": payload, **values})
    return task_service.submit(domain.rt, instance_id, new, **options)


def test_a_submission_fills_in_defaults_and_limits(agents: Domain) -> None:
    outcome = _submit(agents, {"topic": "Tea"})
    assert (outcome.created, outcome.seq, outcome.epoch) == (True, 1, agents.events()[0].epoch)
    assert (outcome.task["title"], outcome.task["input"]) == ("A campaign", {"tone": "plain", "topic": "Tea"})
    row = agents.task(outcome.task["id"])
    assert (row.soft_time_limit, row.hard_time_limit, row.expires_at, row.submitted_by) == (5.0, 9.0, None, "api")


def test_explicit_values_take_precedence_over_defaults(agents: Domain) -> None:
    outcome = _submit(agents, {"topic": "Tea", "tone": "bold"}, title="  Mine ", expires_in=60, submitted_by="cli")
    assert (outcome.task["title"], outcome.task["input"]["tone"]) == ("Mine", "bold")
    assert outcome.task["submitted_by"] == "cli"
    assert outcome.task["expires_at"] is not None


def test_a_missing_input_is_an_empty_object(agents: Domain) -> None:
    assert _submit(agents, None, kind="anything").task["input"] == {}


def test_a_process_wakes_the_relay_after_a_submission_and_a_retry_that_were_stored(agents: Domain) -> None:
    seen: list[int] = []
    agents.rt.wake_relay = lambda: seen.append(agents.head())
    _submit(agents, {"topic": "Tea"})
    task_service.retry(agents.rt, agents.failed())
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
    agents: Domain, wrong: dict[str, Any], field: str, error: type[SwallowtailError]
) -> None:
    with pytest.raises(error) as refused:
        _submit(
            agents, **{"payload": {"topic": "Tea"}, **{("payload" if k == "input" else k): v for k, v in wrong.items()}}
        )
    assert refused.value.field == field
    assert refused.value.message
    assert len(refused.value.message) < 500
    assert agents.story() == []
    assert agents.outbox() == {}


def test_every_finding_about_an_input_is_listed_the_first_first(agents: Domain) -> None:
    with pytest.raises(InvalidInput) as refused:
        _submit(agents, {"platforms": ["fax", "x", "telex"][:2] * 1, "colour": 1, "topic": 5})
    fields = [finding["field"] for finding in refused.value.errors]
    assert refused.value.field == fields[0]
    assert set(fields) == {"input.colour", "input.platforms[0]", "input.topic"}
    with pytest.raises(InvalidInput) as refused:
        _submit(agents, {"platforms": ["fax"] * 100})
    assert len(refused.value.errors) == 20


def test_a_key_that_is_not_allowed_is_found(agents: Domain) -> None:
    with pytest.raises(InvalidInput) as refused:
        _submit(agents, {"a\x00": 1}, kind="anything")
    assert refused.value.field is not None
    assert "(a key)" in refused.value.field


@pytest.mark.parametrize("opening", ["list", "object", "both"])
def test_nesting_of_ten_thousand_levels_is_refused(agents: Domain, opening: str) -> None:
    deep: Any = 1
    for level in range(10_000):
        deep = [deep] if opening == "list" or (opening == "both" and level % 2) else {"k": deep}
    with pytest.raises(InvalidInput) as refused:
        _submit(agents, deep, kind="anything")
    assert (refused.value.field, refused.value.message) == ("input", "nested deeper than 32 levels")
    assert agents.story() == []


def test_text_of_many_lines_and_scripts_is_taken(agents: Domain) -> None:
    text = "Zeile\r\n\tnächste 步骤 👩‍🚀 \u200d\u202e"
    assert _submit(agents, {"a": text}, kind="anything").task["input"] == {"a": text}


def test_the_same_key_gives_the_same_task_and_another_submission_is_a_conflict(agents: Domain) -> None:
    first = _submit(agents, {"topic": "Tea"}, idempotency_key="k")
    agents.ledger.request_cancel(first.task["id"])
    again = _submit(agents, {"topic": "Tea", "tone": "plain"}, idempotency_key=" k ")
    assert (again.created, again.task["id"], again.task["status"]) == (False, first.task["id"], "CANCELLED")
    assert (again.seq, again.epoch) == (2, first.epoch)
    for other in ({"payload": {"topic": "Two"}}, {"title": "Other"}, {"expires_in": 5}, {"kind": "anything"}):
        with pytest.raises(Conflict) as refused:
            _submit(agents, **{"payload": {"topic": "Tea"}, "idempotency_key": "k", **other})
        assert refused.value.field == "Idempotency-Key"
    assert agents.story() == ["SUBMITTED", "CANCELLED"]


def test_one_key_used_concurrently_gives_one_task(agents: Domain) -> None:
    outcomes: list[task_service.ActionResult] = []
    barrier = threading.Barrier(6)

    def submit() -> None:
        barrier.wait()
        outcomes.append(_submit(agents, {"topic": "Tea"}, idempotency_key="k"))

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({outcome.task["id"] for outcome in outcomes}) == 1
    assert sorted(outcome.created for outcome in outcomes) == [False] * 5 + [True]
    assert {(outcome.seq, outcome.epoch) for outcome in outcomes} == {(1, agents.events()[0].epoch)}


def test_cancels_and_retries_return_the_number_of_their_event(agents: Domain) -> None:
    task_id = _submit(agents, {"topic": "Tea"}).task["id"]
    cancelled = task_service.cancel(agents.rt, task_id.upper())
    assert (cancelled.task["status"], cancelled.task["last_seq"], cancelled.seq) == ("CANCELLED", 2, 2)
    assert task_service.cancel(agents.rt, task_id).seq == 2
    retried = task_service.retry(agents.rt, task_id)
    assert (retried.task["status"], retried.seq) == ("RETRYING", 3)
    assert {cancelled.epoch, retried.epoch} == {agents.events()[0].epoch}


@pytest.mark.parametrize(
    "task_id", ["", "x", None, 5, "{" + ANONYMOUS + "}", ANONYMOUS.replace("-", ""), ANONYMOUS + "\n"]
)
def test_an_invalid_task_id_is_refused(agents: Domain, task_id: Any) -> None:
    for act in (task_service.cancel, task_service.retry):
        with pytest.raises(InvalidInput) as refused:
            act(agents.rt, task_id)
        assert refused.value.field == "task_id"


def test_a_task_id_of_nothing_is_not_found(agents: Domain) -> None:
    for act in (task_service.cancel, task_service.retry):
        with pytest.raises(NotFound) as refused:
            act(agents.rt, ANONYMOUS)
        assert refused.value.field == "task_id"


@pytest.mark.parametrize("step", ["", "a\nb", "\x00", "x" * 201, 5, "unknown"])
def test_a_retry_starts_only_from_an_existing_step(agents: Domain, step: Any) -> None:
    claim = agents.running()
    agents.perform(claim, "a")
    agents.runs.fail(claim, ERROR)
    before = agents.story()
    with pytest.raises(InvalidInput) as refused:
        task_service.retry(agents.rt, claim.task_id, step)
    assert refused.value.field == "from_step"
    assert agents.story() == before
    assert task_service.retry(agents.rt, claim.task_id, "a").task["status"] == "RETRYING"


def test_an_instance_is_created_with_an_id_of_the_callers_or_a_new_one(agents: Domain) -> None:
    named = create_instance(agents.rt, "  Named  ", "my_own-1")
    assert (named["id"], named["name"], named["seq"]) == ("my_own-1", "Named", 0)
    fresh = create_instance(agents.rt, "Fresh")
    assert check_instance_id(fresh["id"]) == fresh["id"]
    with pytest.raises(Conflict) as refused:
        create_instance(agents.rt, "Again", "my_own-1")
    assert refused.value.field == "id"


@pytest.mark.parametrize(
    ("name", "instance_id", "field"),
    [("", None, "name"), ("a\x00", None, "name"), ("n" * 201, None, "name"), (5, None, "name"), ("N", "", "id"),
     ("N", "_a", "id"), ("N", "a/b", "id"), ("N", "a" * 65, "id"), ("N", "a\n", "id")],
)  # fmt: skip
def test_a_bad_name_or_id_of_an_instance_is_refused(agents: Domain, name: Any, instance_id: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        create_instance(agents.rt, name, instance_id)
    assert refused.value.field == field
