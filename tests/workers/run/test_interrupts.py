"""Which code real signals interrupt, and which they do not."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import NoReturn

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.outcomes import CANCELLED, TERMINATED, RunOutcome, RunStopped
from swallowtail.workers.run.run_state import RunState
from swallowtail.workers.run.shared_memory import SharedMemory
from tests.harness.settings import make_settings

HOUR = 3600.0


class FakeState(RunState):
    """The state of a run that ends when the test sets `forced`."""

    def __init__(self) -> None:
        super().__init__(SharedMemory().slot(0), make_settings())
        self.forced: RunOutcome | None = None

    def forced_outcome(self) -> RunOutcome | None:
        return self.forced


@pytest.fixture
def state() -> FakeState:
    return FakeState()


def soon(act: Callable[[], object]) -> threading.Thread:
    """Call it in another thread, 0.1 seconds from now."""
    thread = threading.Timer(0.1, act)
    thread.start()
    return thread


def send(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def test_an_interrupt_ends_a_sleep_when_there_is_a_reason(state: FakeState) -> None:
    with Interrupts(state) as interrupts:
        state.forced = CANCELLED
        interrupts.interrupt()  # no code of the agent is running yet
        state.forced = None

        def give_reason() -> None:
            state.forced = CANCELLED
            interrupts.interrupt()

        soon(give_reason)
        with pytest.raises(RunStopped) as stopped:
            interrupts.call(time.sleep, HOUR)
    assert stopped.value.outcome is CANCELLED


def test_an_interrupt_ends_a_blocking_read(state: FakeState) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Interrupts(state) as interrupts:

        def give_reason() -> None:
            state.forced = CANCELLED
            interrupts.interrupt()

        soon(give_reason)
        with pytest.raises(RunStopped):
            interrupts.call(ours.recv, 1)


def test_an_interrupt_without_a_reason_changes_nothing(state: FakeState) -> None:
    with Interrupts(state) as interrupts:
        soon(interrupts.interrupt)
        interrupts.call(time.sleep, 0.3)


def test_an_earlier_reason_to_stop_prevents_the_start_of_the_agent(state: FakeState) -> None:
    with Interrupts(state) as interrupts:
        state.forced = CANCELLED
        with pytest.raises(RunStopped):
            interrupts.call(pytest.fail)


def test_the_soft_limit_strikes_once(state: FakeState) -> None:
    def work() -> str:
        try:
            time.sleep(HOUR)
        except SoftTimeLimitExceeded:
            time.sleep(0.05)
            return "tidied up"
        return "not interrupted"

    with Interrupts(state) as interrupts:
        soon(send(signal.SIGUSR1))
        assert interrupts.call(work) == "tidied up"
        assert state.timed_out


def test_a_write_is_not_interrupted_and_the_signal_strikes_after_it(state: FakeState) -> None:
    written = []

    def work(interrupts: Interrupts) -> None:
        with interrupts.deferred():
            send(signal.SIGUSR1)()
            time.sleep(0.05)
            written.append("whole")
        written.append("never")

    with Interrupts(state) as interrupts, pytest.raises(SoftTimeLimitExceeded):
        interrupts.call(work, interrupts)
    assert written == ["whole"]
    assert not interrupts.in_agent


def test_nothing_interrupts_code_outside_of_the_agents_code(state: FakeState) -> None:
    with Interrupts(state):
        state.forced = CANCELLED
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            send(number)()
        time.sleep(0.05)
        assert state.timed_out


def test_the_end_of_the_worker_ends_the_run_and_then_the_process(state: FakeState) -> None:
    ended = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    try:
        with Interrupts(state) as interrupts:
            soon(send(signal.SIGTERM))
            with pytest.raises(RunStopped) as stopped:
                interrupts.call(time.sleep, HOUR)
            assert stopped.value.outcome is TERMINATED
            assert ended == []
        assert ended == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_do_not_change_what_may_be_interrupted(state: FakeState) -> None:
    with Interrupts(state) as interrupts:
        seen = []

        def check() -> None:
            with interrupts.deferred():
                seen.append(interrupts.in_agent)

        def work() -> None:
            thread = threading.Thread(target=check)
            thread.start()
            thread.join()

        interrupts.call(work)
        assert seen == [True]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_no_event_loop_keeps_an_interrupt_in_a_result(state: FakeState, number: signal.Signals) -> None:
    async def work() -> tuple[BaseException, BaseException]:
        return await asyncio.gather(sleep(), sleep(), return_exceptions=True)

    async def sleep() -> NoReturn:
        time.sleep(HOUR)
        raise AssertionError

    with Interrupts(state) as interrupts:

        def strike() -> None:
            state.forced = CANCELLED if number == signal.SIGUSR2 else None
            send(number)()

        soon(strike)
        with pytest.raises(RunStopped if number == signal.SIGUSR2 else SoftTimeLimitExceeded):
            interrupts.call(asyncio.run, work())


def test_a_process_that_the_agent_forks_ends_by_the_signals_that_it_gets(state: FakeState) -> None:
    begun, begin = os.pipe()
    with Interrupts(state):
        child = os.fork()
        if child == 0:
            os.write(begin, b"!")
            time.sleep(HOUR)
            os._exit(0)
        # A new Python process discards signals that arrive before it is ready.
        os.read(begun, 1)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    os.close(begun)
    os.close(begin)


def test_a_process_that_the_agent_forks_ends_where_its_code_does_and_writes_nothing_of_the_run(
    state: FakeState,
) -> None:
    read_end, write_end = os.pipe()

    def fork() -> int:
        child = os.fork()
        if child == 0:
            try:
                with interrupts.deferred():
                    os.write(write_end, b"wrote")
            except RuntimeError:
                os.write(write_end, b"refused")
        return child

    with Interrupts(state) as interrupts:
        child = interrupts.call(fork)
        if child == 0:
            os.write(write_end, b", went on")
            os._exit(7)
    os.close(write_end)
    with open(read_end, "rb") as file:
        assert file.read() == b"refused"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(("end", "code"), [(0, 0), (None, 0), (3, 3), ("a message", 1), (ValueError("broke"), 1)])
def test_a_process_that_the_agent_forks_ends_with_the_code_that_it_chose(
    state: FakeState, end: object, code: int
) -> None:
    def fork() -> int:
        child = os.fork()
        if child == 0:
            raise end if isinstance(end, ValueError) else SystemExit(end)
        return child

    with Interrupts(state) as interrupts:
        child = interrupts.call(fork)
        if child == 0:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
