"""A snapshot takes few queries for any content, has limits of steps and bytes, and reads no payloads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from sqlalchemy import event, insert, update

from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import now
from swallowtail.app.core.payload_redaction.rules import POLICIES, Policies
from swallowtail.app.core.queries.rows import list_steps, read_step
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.tables.tasks import Step, Task
from tests.core.conftest import NewDomain
from tests.core.domain import ERROR, Domain

LARGE = "x" * 15_000


def _task(number: int, kind: str = "probe") -> dict[str, Any]:
    moment = now()
    return {
        "id": f"{number:08}-0000-4000-8000-000000000000",
        "instance_id": "demo",
        "kind": kind,
        "title": f"Task {number}",
        "input": {"text": "an input", "password": f"hidden-{number}"},
        "status": "COMPLETED",
        "progress": 100.0,
        "message": f"done with hidden-{number}",
        "attempt": 1,
        "losses": 0,
        "retries": 0,
        "result": {"text": LARGE},
        "submitted_by": "test",
        "fingerprint": "",
        "last_seq": 0,
        "created_at": moment,
        "updated_at": moment,
        "finished_at": moment,
    }


def _step(task: dict[str, Any], position: int, output: Any) -> dict[str, Any]:
    return {
        "id": f"{task['id'][:8]}-{position:04}-4000-8000-000000000000",
        "task_id": task["id"],
        "key": f"s{position}",
        "position": position,
        "agent": "Agent",
        "action": "work",
        "status": "completed",
        "attempt": 1,
        "tries": 1,
        "saved": True,
        "output": output,
        "started_at": now(),
        "completed_at": now(),
    }


def _fill(domain: Domain, tasks: int, steps: int, *, kinds: int = 1, output: Any = "out") -> None:
    rows = [_task(number, f"kind-{number % kinds}") for number in range(tasks)]
    with domain.db.write() as session:
        session.execute(insert(Task), rows)
        for row in rows:
            session.execute(insert(Step), [_step(row, place, output) for place in range(1, steps + 1)])


@contextmanager
def _statements(domain: Domain) -> Iterator[list[str]]:
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith(("BEGIN", "SET ")) and "lock_timeout" not in statement:
            said.append(statement)

    event.listen(domain.db.engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        event.remove(domain.db.engine, "before_cursor_execute", note)


def _read(domain: Domain, **bounds: int) -> dict[str, Any]:
    with domain.db.read() as session:
        return read_snapshot_rows(session, "demo", SnapshotLimits(**bounds)).build()


def test_a_snapshot_takes_as_many_queries_for_one_task_as_for_two_hundred_of_many_kinds(domain: Domain) -> None:
    _fill(domain, 200, 8, kinds=20)
    asked = []
    for tasks in (1, 200):
        domain.db.policies.forget()
        with _statements(domain) as cold:
            assert len(_read(domain, tasks=tasks)["tasks"]) == tasks
        with _statements(domain) as warm:
            _read(domain, tasks=tasks)
        asked.append((len(cold), len(warm)))
    domain.db.policies.forget()
    with _statements(domain) as cold:
        _read(domain)
    # Five queries: the head, the tasks with the numbers of their steps, the steps, and, the first time, the policy with
    # the schemas and the stored secrets of the inputs. Tasks from before an upgrade have no stored secrets: once, their
    # inputs are read too, and two statements store the secrets.
    assert (asked, len(cold)) == ([(8, 3), (8, 3)], 5)


def test_large_inputs_are_read_by_the_score(new_domain: NewDomain) -> None:
    domain = new_domain(inline_input_bytes=1024)
    for number in range(30):
        domain.submit(input={"text": LARGE, "password": f"hidden-{number}"})
    with domain.db.write() as session:
        session.execute(update(Task).values(secrets=None))
    domain.db.policies.forget()
    with _statements(domain) as said:
        assert len(_read(domain)["tasks"]) == 30
    assert len(said) == 8 + 2


def test_no_query_of_a_snapshot_reads_a_result_or_an_output(domain: Domain) -> None:
    _fill(domain, 3, 3, output={"text": LARGE})
    with _statements(domain) as said:
        shown = _read(domain)
    assert not any("result" in one or ".output" in one for one in said if "agent" not in one)
    assert LARGE[:100] not in orjson.dumps(shown).decode()
    assert {"input", "result"}.isdisjoint(shown["tasks"][0])
    assert "output" not in shown["tasks"][0]["steps"][0]


def test_secrets_of_an_input_are_hidden_in_views_without_the_input(domain: Domain) -> None:
    _fill(domain, 2, 1)
    assert [task["message"] for task in _read(domain)["tasks"]] == ["done with [redacted:secret]"] * 2


def test_inputs_are_decrypted_before_their_secrets_are_searched(new_domain: NewDomain) -> None:
    domain = new_domain(encryption_keys="one:" + "A" * 43 + "=")
    claim = domain.running(input={"password": "s3cret-word"})
    domain.runs.fail(claim, {**ERROR, "message": "s3cret-word was refused"})
    with domain.db.read() as session:
        session.info = {**session.info, POLICIES: Policies(domain.settings)}
        (task,) = read_snapshot_rows(session, "demo", SnapshotLimits()).build()["tasks"]
    assert task["error"]["message"] == "[redacted:secret] was refused"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (10, [(4, True), (4, True)]),
        (8, [(4, True), (4, True)]),
        (6, [(4, True), (2, False)]),
        (3, [(3, False), (0, False)]),
    ],
)
def test_steps_beyond_the_limit_are_left_out_the_oldest_first(
    domain: Domain, limit: int, expected: list[tuple[int, bool]]
) -> None:
    _fill(domain, 2, 4)
    tasks = _read(domain, steps=limit)["tasks"]
    assert [(len(task["steps"]), task["steps_complete"]) for task in tasks] == expected
    for task in tasks:
        positions = [step["position"] for step in task["steps"]]
        assert positions == [1, 2, 3, 4][4 - len(positions) :]


def test_a_task_without_steps_has_all_of_them(domain: Domain) -> None:
    domain.submit()
    (task,) = _read(domain)["tasks"]
    assert (task["steps"], task["steps_complete"]) == ([], True)


@pytest.mark.parametrize("size", [20_000, 50_000, 100_000])
def test_a_snapshot_is_no_larger_than_its_bound(domain: Domain, size: int) -> None:
    _fill(domain, 30, 20)
    shown = _read(domain, size=size)
    # The limit is for tasks and steps; the rest is small.
    assert size * 0.8 < len(orjson.dumps(shown)) < size * 1.1
    ids = [task["id"] for task in shown["tasks"]]
    assert ids == [task["id"] for task in _read(domain)["tasks"]][: len(ids)]
    assert shown["complete"] is (len(ids) == 30)
    assert not all(task["steps_complete"] for task in shown["tasks"])


def test_steps_with_large_outputs_make_a_snapshot_no_larger(domain: Domain) -> None:
    _fill(domain, 8, 50, output={"text": LARGE})
    assert len(orjson.dumps(_read(domain))) < 8 * 50 * 1000


def test_an_output_is_read_with_its_step(domain: Domain) -> None:
    claim = domain.running()
    domain.perform(claim, "a", {"x": 1})
    with domain.db.read() as session:
        (listed,) = list_steps(session, claim.task_id)
        assert read_step(session, claim.task_id, listed["step_id"]) == {**listed, "output": {"x": 1}}
        for task_id, step_id in ((domain.submit(), listed["step_id"]), (claim.task_id, "nothing")):
            with pytest.raises(NotFound) as refused:
                read_step(session, task_id, step_id)
            assert refused.value.field == "step_id"
