"""What the receivers of Celery's signals propose to the ledger."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from celery import signals as celery_signals
from celery.exceptions import TimeLimitExceeded, WorkerLostError

from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.app.core.ledger.publish_queue import PublishQueue
from swallowtail.app.core.ledger.publisher import Broadcaster
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.tables.tasks import Outbox
from swallowtail.workers import receivers, run_task
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcome_writer import OutcomeWriter
from swallowtail.workers.run.outcomes import OutcomeKind, RunOutcome
from swallowtail.workers.runtime import worker_runtime
from tests.harness.tasks.event_lines import BEGINNING
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


def test_events_live_state_and_text_are_published_in_order(harness: Harness) -> None:
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


def test_the_main_process_publishes_without_a_thread(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kind of fault: a process that forks while another of its threads holds a lock."""
    publishers: list[threading.Thread] = []
    monkeypatch.setattr(worker_runtime, "deployment_settings", functools.cache(lambda: harness.rt.settings))
    monkeypatch.setattr(Broadcaster, "publish_access", lambda _: publishers.append(threading.current_thread()))
    with worker_runtime.short_lived_runtime() as short:
        assert short.publisher is not None
        short.publisher.publish_access()
        assert publishers == [threading.current_thread()]


def test_the_end_of_a_run_is_published_before_its_process_is_killed(harness: Harness) -> None:
    """Kind of fault: what waits in memory is lost when the process is killed."""
    claim = harness.claim(harness.submit())
    published: list[EventRecord] = []

    def publish(events: list[EventRecord]) -> None:
        time.sleep(0.2)
        published.extend(events)

    broadcast: Any = SimpleNamespace(publish=publish)
    harness.rt.publisher = PublishQueue(broadcast, harness.rt.db)
    writer = OutcomeWriter(harness.rt, claim, LiveProgress(claim, 10.0))
    writer.write_before_kill(RunOutcome(OutcomeKind.FAIL, {"code": "hard_time_limit", "message": "too long"}))
    assert [event.data["status"] for event in published] == ["FAILED"]


def test_a_pool_child_that_ends_closes_its_runtime(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    ending = SimpleNamespace(close=lambda: closed.append("closed"))
    monkeypatch.setattr(worker_runtime, "_runtimes", {os.getpid(): ending})
    celery_signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)
    assert closed == ["closed"]
