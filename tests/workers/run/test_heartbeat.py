"""A run's pulse against a ledger that answers, hangs or says no."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.runs import Beat, Claim
from swallowtail.workers.run.heartbeat import Pulse
from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcomes import CANCELLED, LEASE_LOST, SHUT_DOWN, Ending, RunStopped, WorkerStopping
from swallowtail.workers.run.shared_memory import Board
from tests.harness.waiting import wait_until

CLAIM = Claim("t", "demo", "test", None, 1, "token", 0.0, 3)
HOUR = 3600.0


@dataclass
class FakeBeats:
    """A ledger's heartbeat that answers as told; `hang` keeps it from answering."""

    answer: Beat | Exception = field(default_factory=lambda: Beat(alive=True, cancel_requested=False))
    told: list[tuple[float, str]] = field(default_factory=list)
    hang: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.hang.set()

    def heartbeat(self, claim: Claim, progress: float, message: str) -> Beat:
        self.told.append((progress, message))
        self.hang.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@dataclass
class Run:
    """One run under a pulse; `words` and `killed` tell what became of a run that ignored everything."""

    pulse: Pulse
    beats: FakeBeats
    live: LiveProgress
    words: list[Ending]
    killed: threading.Event
    board: Board


NewRun = Callable[..., Run]


@pytest.fixture
def new_run() -> Iterator[NewRun]:
    opened: list[tuple[Interrupts, Run]] = []

    def make(*, lease: float = HOUR, grace: float = 0.1, leave: float = HOUR) -> Run:
        settings = Settings(
            _env_file=None, lease_seconds=lease, heartbeat_seconds=0.05, cancel_grace=grace, shutdown_grace=leave
        )
        interrupts, beats, live = Interrupts(), FakeBeats(), LiveProgress(CLAIM, 10.0)
        words: list[Ending] = []
        killed = threading.Event()
        board = Board()
        pulse = Pulse(
            CLAIM, time.monotonic(), beats, settings, interrupts, live, board.slot(0), words.append, killed.set
        )
        run = Run(pulse, beats, live, words, killed, board)
        interrupts.__enter__()
        pulse.__enter__()
        opened.append((interrupts, run))
        return run

    yield make
    for interrupts, run in opened:
        run.beats.hang.set()
        run.pulse.__exit__()
        interrupts.__exit__()


@contextmanager
def stopped_with(ending: Ending) -> Iterator[None]:
    with pytest.raises(RunStopped) as stopped:
        yield
    assert stopped.value.ending is ending


def test_it_beats_with_what_the_run_reported(new_run: NewRun) -> None:
    run = new_run()
    run.live.report(30, "Reading")
    wait_until(lambda: run.beats.told[-1:] == [(30, "Reading")], "a beat carries the progress")
    run.pulse.check()


def test_a_cancel_ends_the_run_at_its_next_call(new_run: NewRun) -> None:
    run = new_run(grace=HOUR)
    run.beats.answer = Beat(alive=True, cancel_requested=True)
    with stopped_with(CANCELLED):
        wait_until(run.pulse.check, "the cancel is seen")
    assert run.pulse.force() is None


def test_a_cancel_interrupts_a_blocked_call_after_its_grace(new_run: NewRun) -> None:
    run = new_run(grace=0.3)
    run.beats.answer = Beat(alive=True, cancel_requested=True)
    with stopped_with(CANCELLED):
        run.pulse.call(time.sleep, HOUR)
    assert run.words == []


def test_a_run_that_somebody_else_has_is_interrupted_at_once(new_run: NewRun) -> None:
    run = new_run(grace=HOUR)
    run.beats.answer = Beat(alive=False, cancel_requested=False)
    with stopped_with(LEASE_LOST):
        run.pulse.call(time.sleep, HOUR)


@pytest.mark.parametrize("fault", [Unavailable("away"), RuntimeError("broken"), None])
def test_a_run_stops_by_its_own_clock_when_nobody_answers(new_run: NewRun, fault: Exception | None) -> None:
    run = new_run(lease=0.5)
    if fault is None:
        run.beats.hang.clear()
    else:
        run.beats.answer = fault
    with stopped_with(LEASE_LOST):
        run.pulse.call(time.sleep, HOUR)
    with stopped_with(LEASE_LOST):
        run.pulse.check()


def test_a_write_extends_the_lease(new_run: NewRun) -> None:
    run = new_run(lease=0.5)
    run.beats.hang.clear()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        with run.pulse.writing() as written:
            written(False)
        time.sleep(0.01)
    run.pulse.check()


def test_a_write_that_finds_a_cancel_ends_the_run(new_run: NewRun) -> None:
    run = new_run(grace=HOUR)
    with run.pulse.writing() as written:
        written(True)
    with stopped_with(CANCELLED):
        run.pulse.check()


def test_a_run_that_ignores_its_interrupt_is_killed_with_last_words(new_run: NewRun) -> None:
    run = new_run()
    run.beats.answer = Beat(alive=True, cancel_requested=True)
    seen = []

    def ignore() -> None:
        while not run.killed.is_set():
            try:
                time.sleep(0.05)
            except RunStopped as stopped:
                seen.append(stopped.ending)

    run.pulse.call(ignore)
    assert seen == [CANCELLED]
    assert run.words[0] is CANCELLED


def test_a_write_that_takes_long_is_not_killed(new_run: NewRun) -> None:
    run = new_run()
    run.beats.answer = Beat(alive=False, cancel_requested=False)

    def write() -> None:
        with run.pulse.closed():
            time.sleep(2.5)

    with stopped_with(LEASE_LOST):
        run.pulse.call(write)
    assert not run.killed.is_set()


def test_a_worker_that_stops_ends_a_run_between_two_steps_only(new_run: NewRun) -> None:
    run = new_run()
    run.board.leave()
    run.pulse.check()
    assert run.pulse.call(time.sleep, 0.3) is None
    with stopped_with(SHUT_DOWN):
        run.pulse.check(between=True)


def test_a_step_is_told_once_that_its_worker_stops_and_may_end_in_peace(new_run: NewRun) -> None:
    run = new_run(grace=HOUR, leave=0.3)

    def work() -> str:
        try:
            time.sleep(HOUR)
        except Exception:
            return "mistaken for an error"
        except WorkerStopping:
            time.sleep(0.3)
        return "tidied up"

    run.board.leave()
    assert run.pulse.call(work) == "tidied up"
    assert run.pulse.told
    run.pulse.check()
    with stopped_with(SHUT_DOWN):
        run.pulse.check(between=True)
    assert run.words == []


def test_a_step_that_does_not_hear_that_its_worker_stops_is_killed_with_last_words(new_run: NewRun) -> None:
    run = new_run(leave=0.1)
    run.board.leave()

    def ignore() -> None:
        while not run.killed.is_set():
            with contextlib.suppress(WorkerStopping):
                time.sleep(0.05)

    run.pulse.call(ignore)
    assert run.words[0] is SHUT_DOWN


def test_the_end_of_a_run_is_left_alone(new_run: NewRun) -> None:
    run = new_run(lease=0.3)
    run.pulse.wind_up()
    run.beats.answer = Beat(alive=False, cancel_requested=True)
    time.sleep(0.6)
    run.pulse.check()
    assert run.pulse.force() is None
    assert not run.killed.is_set()


def test_after_its_end_it_beats_no_more(new_run: NewRun) -> None:
    run = new_run()
    wait_until(lambda: run.beats.told, "it beats")
    run.pulse.__exit__()
    count = len(run.beats.told)
    time.sleep(0.3)
    assert len(run.beats.told) == count
