"""A periodic thread runs its work after each interval and when it is woken, until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import structlog

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from tests.harness.waiting import wait_until

NEVER = 3600.0


class Work:
    """Counts its runs, and raises `fault` if there is one."""

    def __init__(self) -> None:
        self.runs = 0
        self.fault: Exception | None = None

    def __call__(self) -> None:
        self.runs += 1
        if self.fault is not None:
            raise self.fault


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def start() -> Iterator[Callable[..., PeriodicThread]]:
    started: list[PeriodicThread] = []

    def start(work: Work, interval: float, **options: object) -> PeriodicThread:
        started.append(PeriodicThread("test", work, interval, **options))  # type: ignore[arg-type]
        started[-1].start()
        return started[-1]

    yield start
    for thread in started:
        thread.stop(timeout=10.0)


def test_it_runs_after_each_interval(work: Work, start: Callable[..., PeriodicThread]) -> None:
    start(work, 0.01)
    wait_until(lambda: work.runs >= 3, "three runs")


def test_it_runs_at_once_when_it_is_woken_and_not_before(work: Work, start: Callable[..., PeriodicThread]) -> None:
    woken = threading.Event()
    thread = start(work, NEVER, woken=woken)
    assert work.runs == 0
    thread.wake()
    wait_until(lambda: work.runs == 1, "the first run")
    woken.set()
    wait_until(lambda: work.runs == 2, "the second run")


def test_a_wake_up_does_not_end_the_interval() -> None:
    due: list[bool] = []
    thread = PeriodicThread("test", lambda: due.append(thread.is_due), NEVER)
    thread.wake()
    thread.start()
    wait_until(lambda: due, "the run of the wake-up")
    thread.stop(timeout=10.0)
    assert due == [False]


def test_wake_ups_that_never_stop_do_not_postpone_the_end_of_the_interval() -> None:
    """Starvation: each wait began a whole interval, so that none ended while wake-ups came more often."""
    due: list[bool] = []

    def work() -> None:
        due.append(thread.is_due)
        thread.wake()

    thread = PeriodicThread("test", work, 0.05)
    thread.wake()
    thread.start()
    wait_until(lambda: due.count(True) >= 3, "three intervals end", seen=lambda: len(due))
    thread.stop(timeout=10.0)


def test_a_second_start_starts_no_second_thread(work: Work, start: Callable[..., PeriodicThread]) -> None:
    thread = start(work, NEVER)
    before = threading.active_count()
    thread.start()
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("fault", "event"), [(Unavailable("away"), "test_postponed"), (ValueError("broken"), "test_failed")]
)
def test_an_error_is_logged_and_the_next_run_comes(
    work: Work, start: Callable[..., PeriodicThread], fault: Exception, event: str
) -> None:
    work.fault = fault
    with structlog.testing.capture_logs() as logs:
        start(work, 0.01)
        wait_until(lambda: work.runs >= 2, "a run after the error")
    assert {line["event"] for line in logs} == {event}


def test_after_a_stop_it_runs_no_more(work: Work, start: Callable[..., PeriodicThread]) -> None:
    thread = start(work, NEVER)
    states = [thread.is_running]
    thread.stop(timeout=10.0)
    states.append(thread.is_running)
    assert (states, work.runs) == ([True, False], 0)
