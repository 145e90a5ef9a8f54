"""Tasks that should start say why they do not: no worker, none that knows the kind, or no broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from swallowtail.app.core.coordination.worker_registry import announce, retire
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import Domain

NONE_RUNS = {"reason": "no_worker", "message": "No worker is running: the task waits for one"}
NONE_KNOWS_IT = {
    "reason": "no_worker_for_kind",
    "message": "No running worker knows the kind 'probe': a task of it waits for one, and fails if none comes",
}
NO_BROKER = {"reason": "broker_unavailable", "message": "The broker is unavailable: the task waits for it"}
NEITHER = {
    "reason": "broker_unavailable",
    "message": "The broker is unavailable, and no worker is running: the task waits for both",
}


@contextmanager
def open_reads(domain: Domain, actor: Actor, *, is_broker_away: bool = False) -> Iterator[AuthorizedReads]:
    with domain.db.read() as session:
        yield AuthorizedReads(session, actor, is_broker_away)


def find_waits(domain: Domain, **how: bool) -> list[Any]:
    """Return `waiting` of every task, the latest first, after comparing lists with single tasks."""
    with open_reads(domain, domain.rt.caller.actor, **how) as reads:
        listed, _ = reads.tasks("demo", limit=100)
        assert [reads.task(task["id"])["waiting"] for task in listed] == [task["waiting"] for task in listed]
    return [task["waiting"] for task in listed]


def test_a_task_says_that_no_worker_runs_even_if_there_never_was_one(domain: Domain) -> None:
    domain.submit()
    assert find_waits(domain) == [NONE_RUNS]
    announce(domain.db, "one", ["echo", "probe"], 60.0)
    assert find_waits(domain) == [None], "it waits for a free worker"
    retire(domain.db, "one")
    assert find_waits(domain) == [NONE_RUNS]


def test_a_task_says_that_no_worker_knows_its_kind(domain: Domain) -> None:
    domain.submit()
    domain.submit(kind="echo")
    announce(domain.db, "one", ["echo"], 60.0)
    assert find_waits(domain) == [None, NONE_KNOWS_IT]


def test_a_task_says_that_the_broker_is_away(domain: Domain) -> None:
    domain.submit()
    assert find_waits(domain, is_broker_away=True) == [NEITHER]
    announce(domain.db, "one", ["probe"], 60.0)
    assert find_waits(domain, is_broker_away=True) == [NO_BROKER]


def test_only_tasks_that_should_start_say_why_they_wait(domain: Domain) -> None:
    domain.submit()
    domain.queued()
    claim = domain.running()
    domain.proposals.lost(claim.task_id, 1, {"code": "worker_lost", "message": "Lost"})
    domain.running()
    domain.failed()
    domain.ledger.request_cancel(domain.submit())
    with open_reads(domain, domain.rt.caller.actor, is_broker_away=True) as reads:
        shown = {task["status"]: task["waiting"] for task in reads.tasks("demo", limit=100)[0]}
    assert shown == {
        TaskStatus.SUBMITTED: NEITHER,
        TaskStatus.QUEUED: NEITHER,
        TaskStatus.RETRYING: NEITHER,
        TaskStatus.IN_PROGRESS: None,
        TaskStatus.FAILED: None,
        TaskStatus.CANCELLED: None,
    }


@pytest.mark.parametrize("waiting", [0, 1, 20])
def test_a_list_reads_the_workers_once_and_only_if_a_task_waits(domain: Domain, waiting: int) -> None:
    domain.running()
    for _ in range(waiting):
        domain.submit()
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        statements.append(statement)

    event.listen(domain.db.engine, "before_cursor_execute", note)
    with open_reads(domain, domain.rt.caller.actor) as reads:
        reads.tasks("demo", limit=100)
    event.remove(domain.db.engine, "before_cursor_execute", note)
    assert sum("FROM worker" in statement for statement in statements) == min(waiting, 1)


def test_a_token_with_few_fields_shows_why_a_task_waits(domain: Domain) -> None:
    task_id = domain.submit()
    actor = Actor("open", "t", "t", fields=frozenset({"result"}))
    with open_reads(domain, actor) as reads:
        task = reads.task(task_id)
    assert (task["message"], task["waiting"]) == (None, NONE_RUNS)
