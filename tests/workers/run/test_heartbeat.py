"""A run's heartbeat against a ledger that answers, hangs or refuses."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.runs import LeaseState
from swallowtail.workers.run.heartbeat import Heartbeat
from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcomes import (
    CANCELLED,
    LEASE_LOST,
    WORKER_STOPPED,
    RunOutcome,
    RunStopped,
    WorkerStopping,
)
from swallowtail.workers.run.run_state import RunState
from swallowtail.workers.run.shared_memory import SharedMemory
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

CLAIM = Claim("t", "demo", "test", None, 1, "token", 0.0, 3)
HOUR = 3600.0


@dataclass
class FakeWriter:
    """A ledger that answers every heartbeat with `answer`; it hangs while `hang` is clear."""

    answer: LeaseState | Exception = field(default_factory=lambda: LeaseState(alive=True, cancel_requested=False))
    received: list[tuple[float, str]] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hang.set()

    def heartbeat(self, claim: Claim, progress: float, message: str) -> LeaseState:
        self.received.append((progress, message))
        self.hang.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Run:
    """One run with its heartbeat; `written` and `killed` show how a run that ignored everything ended."""

    heartbeat: Heartbeat
    interrupts: Interrupts
    writer: FakeWriter
    live: LiveProgress
    written: list[RunOutcome]
    killed: threading.Event
    memory: SharedMemory

    @property
    def state(self) -> RunState:
        return self.interrupts.state


NewRun = Callable[..., Run]


@pytest.fixture
def new_run() -> Iterator[NewRun]:
    opened: list[tuple[Interrupts, Run]] = []

    def make(*, lease: float = HOUR, grace: float = 0.1, shutdown_grace: float = HOUR) -> Run:
        settings = make_settings(
            lease_seconds=lease,
            heartbeat_seconds=0.05,
            cancel_grace=grace,
            shutdown_grace=shutdown_grace,
        )
        memory, writer, written = SharedMemory(), FakeWriter(), list[RunOutcome]()
        interrupts = Interrupts(RunState(memory.slot(0), settings))
        live = LiveProgress(CLAIM, 10.0, interrupts.state.changed.set)
        killed = threading.Event()
        began = time.monotonic()
        heartbeat = Heartbeat(CLAIM, began, writer, settings, interrupts, live, written.append, killed.set)
        run = Run(heartbeat, interrupts, writer, live, written, killed, memory)
        interrupts.__enter__()
        heartbeat.__enter__()
        opened.append((interrupts, run))
        return run

    yield make
    for interrupts, run in opened:
        run.writer.hang.set()
        run.heartbeat.__exit__()
        interrupts.__exit__()


@contextmanager
def stopped_with(outcome: RunOutcome) -> Iterator[None]:
    with pytest.raises(RunStopped) as stopped:
        yield
    assert stopped.value.outcome is outcome


def test_a_heartbeat_carries_the_progress_that_the_run_reported(new_run: NewRun) -> None:
    run = new_run()
    run.live.report(30, "Reading")
    wait_until(lambda: run.writer.received[-1:] == [(30, "Reading")], "a heartbeat carries the progress")
    run.state.check()


def test_a_cancel_ends_the_run_at_its_next_call(new_run: NewRun) -> None:
    run = new_run(grace=HOUR)
    run.writer.answer = LeaseState(alive=True, cancel_requested=True)
    with stopped_with(CANCELLED):
        wait_until(run.state.check, "the cancel is seen")
    assert run.state.forced_outcome() is None


def test_a_cancel_interrupts_a_blocked_call_after_its_grace(new_run: NewRun) -> None:
    run = new_run(grace=0.3)
    run.writer.answer = LeaseState(alive=True, cancel_requested=True)
    with stopped_with(CANCELLED):
        run.interrupts.call(time.sleep, HOUR)
    assert run.written == []


def test_a_run_whose_task_another_run_holds_is_interrupted_at_once(new_run: NewRun) -> None:
    run = new_run(grace=HOUR)
    run.writer.answer = LeaseState(alive=False, cancel_requested=False)
    with stopped_with(LEASE_LOST):
        run.interrupts.call(time.sleep, HOUR)


@pytest.mark.parametrize("fault", [Unavailable("away"), RuntimeError("broken"), None])
def test_a_run_stops_by_its_own_clock_when_the_ledger_does_not_answer(new_run: NewRun, fault: Exception | None) -> None:
    run = new_run(lease=0.5)
    if fault is None:
        run.writer.hang.clear()
    else:
        run.writer.answer = fault
    with stopped_with(LEASE_LOST):
        run.interrupts.call(time.sleep, HOUR)
    with stopped_with(LEASE_LOST):
        run.state.check()


def test_a_write_extends_the_lease(new_run: NewRun) -> None:
    run = new_run(lease=0.5)
    run.writer.hang.clear()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        run.state.extend(time.monotonic(), False)
        time.sleep(0.01)
    run.state.check()


def test_a_write_that_finds_a_cancel_ends_the_run(new_run: NewRun) -> None:
    run = new_run(grace=HOUR)
    run.state.extend(time.monotonic(), True)
    with stopped_with(CANCELLED):
        run.state.check()


def test_a_run_that_ignores_its_interrupt_is_killed_after_its_outcome_is_written(new_run: NewRun) -> None:
    run = new_run()
    run.writer.answer = LeaseState(alive=True, cancel_requested=True)
    seen = []

    def ignore() -> None:
        while not run.killed.is_set():
            try:
                time.sleep(0.05)
            except RunStopped as stopped:
                seen.append(stopped.outcome)

    run.interrupts.call(ignore)
    assert seen == [CANCELLED]
    assert run.written[0] is CANCELLED


def test_a_write_that_takes_long_is_not_killed(new_run: NewRun) -> None:
    run = new_run()
    run.writer.answer = LeaseState(alive=False, cancel_requested=False)

    def write() -> None:
        with run.interrupts.deferred():
            time.sleep(2.5)

    with stopped_with(LEASE_LOST):
        run.interrupts.call(write)
    assert not run.killed.is_set()


def test_a_worker_that_stops_ends_a_run_between_two_steps_only(new_run: NewRun) -> None:
    run = new_run()
    run.memory.announce_stop()
    run.state.check()
    assert run.interrupts.call(time.sleep, 0.3) is None
    with stopped_with(WORKER_STOPPED):
        run.state.check(between_steps=True)


def test_a_step_learns_once_that_its_worker_stops_and_may_finish(new_run: NewRun) -> None:
    run = new_run(grace=HOUR, shutdown_grace=0.3)

    def work() -> str:
        try:
            time.sleep(HOUR)
        except Exception:
            return "mistaken for an error"
        except WorkerStopping:
            time.sleep(0.3)
        return "tidied up"

    run.memory.announce_stop()
    assert run.interrupts.call(work) == "tidied up"
    assert run.state.stop_raised
    run.state.check()
    with stopped_with(WORKER_STOPPED):
        run.state.check(between_steps=True)
    assert run.written == []


def test_a_step_that_ignores_that_its_worker_stops_is_killed_after_its_outcome_is_written(new_run: NewRun) -> None:
    run = new_run(shutdown_grace=0.1)
    run.memory.announce_stop()

    def ignore() -> None:
        while not run.killed.is_set():
            with contextlib.suppress(WorkerStopping):
                time.sleep(0.05)

    run.interrupts.call(ignore)
    assert run.written[0] is WORKER_STOPPED


def test_a_run_that_writes_its_outcome_is_not_interrupted(new_run: NewRun) -> None:
    run = new_run(lease=0.3)
    run.heartbeat.finish()
    run.writer.answer = LeaseState(alive=False, cancel_requested=True)
    time.sleep(0.6)
    run.state.check()
    assert run.state.forced_outcome() is None
    assert not run.killed.is_set()


def test_after_the_end_of_the_run_no_heartbeat_is_written(new_run: NewRun) -> None:
    run = new_run()
    wait_until(lambda: run.writer.received, "a heartbeat is written")
    run.heartbeat.__exit__()
    count = len(run.writer.received)
    time.sleep(0.3)
    assert len(run.writer.received) == count
