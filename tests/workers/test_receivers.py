"""What the receivers of Celery's signals propose to the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals as celery_signals
from celery.exceptions import TimeLimitExceeded, WorkerLostError

from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.app.core.ledger.publish_queue import PublishQueue
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.tables.tasks import Outbox
from swallowtail.workers import receivers, run_task
from swallowtail.workers.runtime import worker_runtime
from tests.harness.event_lines import BEGINNING
from tests.workers.conftest import Harness

OURS = run_task.run


@pytest.fixture
def started(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> tuple[Harness, list[Any]]:
    """A claimed task, as if in a worker's main process; the harness and the arguments of the message."""

    @contextmanager
    def brief() -> Iterator[Runtime]:
        yield harness.rt

    monkeypatch.setattr(receivers, "short_lived_runtime", brief)
    task_id = harness.submit()
    harness.claim(task_id)
    return harness, [task_id, 1]


def test_a_lost_child_is_a_lost_run(started: tuple[Harness, list[Any]]) -> None:
    harness, args = started
    for _ in range(2):
        celery_signals.task_failure.send(sender=OURS, exception=WorkerLostError("killed"), args=args)
    assert harness.story() == [*BEGINNING, "1: RETRYING worker_lost"]


def test_a_hard_limit_that_celery_reports_twice_fails_the_task_once(started: tuple[Harness, list[Any]]) -> None:
    harness, args = started
    for _ in range(2):
        celery_signals.task_failure.send(sender=OURS, exception=TimeLimitExceeded(5), args=args)
    assert harness.story() == [*BEGINNING, "1: FAILED hard_time_limit"]


def test_a_revoked_message_is_a_cancelled_task(started: tuple[Harness, list[Any]]) -> None:
    harness, args = started
    celery_signals.task_revoked.send(sender=OURS, request=SimpleNamespace(args=args), terminated=True)
    assert harness.story() == [*BEGINNING, "1: CANCELLED"]


def test_an_error_inside_celery_is_a_lost_run(started: tuple[Harness, list[Any]]) -> None:
    harness, args = started
    celery_signals.task_internal_error.send(sender=OURS, args=args, exception=ValueError())
    assert harness.story() == [*BEGINNING, "1: RETRYING worker_lost"]


@pytest.mark.parametrize("signal", [celery_signals.task_rejected, celery_signals.task_unknown])
def test_a_discarded_message_is_checked_soon(started: tuple[Harness, list[Any]], signal: Any) -> None:
    harness, _ = started
    task_id = harness.submit()
    harness.rt.ledger.mark_queued(task_id, 1, 3600.0)
    message = SimpleNamespace(headers={"task": RUN_TASK}, payload=[[task_id, 1], {}, {}])

    def due() -> Any:
        with harness.rt.db.read() as session:
            entry = session.get(Outbox, task_id)
            assert entry is not None
            return entry.available_at

    before = due()
    signal.send(sender=None, message=message, exc=None)
    assert due() < before


@pytest.mark.parametrize("signal", [celery_signals.task_rejected, celery_signals.task_unknown])
@pytest.mark.parametrize(
    "message",
    [
        SimpleNamespace(headers={"task": "other.task"}, payload=[["x", 1], {}, {}]),
        SimpleNamespace(headers={"task": RUN_TASK}, payload=[[{"not": "an id"}], {}, {}]),
        SimpleNamespace(headers=None, payload=None),
    ],
)
def test_a_foreign_message_is_only_logged(started: tuple[Harness, list[Any]], signal: Any, message: object) -> None:
    harness, _ = started
    signal.send(sender=None, message=message, exc=None)
    assert harness.story() == BEGINNING


def test_what_is_committed_or_said_is_published_in_its_order(harness: Harness) -> None:
    published: list[Any] = []
    broadcast: Any = SimpleNamespace(
        publish=published.extend, publish_live=published.append, publish_text=published.append
    )
    queue = PublishQueue(broadcast, harness.rt.db)
    ctx = harness.context(harness.claim(harness.submit()))

    def stream() -> None:
        ctx.progress(5)
        ctx.text("Hello")

    ctx.step("stream", stream)
    queue.close()
    *before, ended = harness.events
    assert published == [*before, *harness.live, *harness.text, ended]


def test_a_pool_child_that_ends_closes_its_runtime(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    ending = SimpleNamespace(close=lambda: closed.append("closed"))
    monkeypatch.setattr(worker_runtime, "_runtimes", {os.getpid(): ending})
    celery_signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
    assert closed == ["closed"]
