"""Real signals in this process: what they interrupt, and what they leave alone."""

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
from swallowtail.workers.run.outcomes import CANCELLED, TERMINATED, RunStopped

HOUR = 3600.0


def soon(act: Callable[[], object]) -> threading.Thread:
    """Do it from another thread, a moment from now."""
    thread = threading.Timer(0.1, act)
    thread.start()
    return thread


def send(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def test_a_nudge_ends_a_sleep_when_there_is_a_reason() -> None:
    with Interrupts() as interrupts:
        interrupts.reason = lambda: CANCELLED
        interrupts.nudge()  # nothing of the agent's is running yet
        interrupts.reason = lambda: None

        def give_reason() -> None:
            interrupts.reason = lambda: CANCELLED
            interrupts.nudge()

        soon(give_reason)
        with pytest.raises(RunStopped) as stopped:
            interrupts.call(time.sleep, HOUR)
    assert stopped.value.ending is CANCELLED


def test_a_nudge_ends_a_blocking_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, Interrupts() as interrupts:

        def give_reason() -> None:
            interrupts.reason = lambda: CANCELLED
            interrupts.nudge()

        soon(give_reason)
        with pytest.raises(RunStopped):
            interrupts.call(ours.recv, 1)


def test_a_nudge_without_a_reason_disturbs_nothing() -> None:
    with Interrupts() as interrupts:
        soon(interrupts.nudge)
        interrupts.call(time.sleep, 0.3)


def test_a_reason_that_came_before_keeps_the_agent_from_starting() -> None:
    with Interrupts() as interrupts:
        interrupts.reason = lambda: CANCELLED
        with pytest.raises(RunStopped):
            interrupts.call(pytest.fail)


def test_the_soft_limit_strikes_once() -> None:
    def work() -> str:
        try:
            time.sleep(HOUR)
        except SoftTimeLimitExceeded:
            time.sleep(0.05)
            return "tidied up"
        return "not interrupted"

    with Interrupts() as interrupts:
        soon(send(signal.SIGUSR1))
        assert interrupts.call(work) == "tidied up"
        assert interrupts.overtime


def test_a_write_is_not_interrupted_and_the_signal_strikes_after_it() -> None:
    written = []

    def work(interrupts: Interrupts) -> None:
        with interrupts.closed():
            send(signal.SIGUSR1)()
            time.sleep(0.05)
            written.append("whole")
        written.append("never")

    with Interrupts() as interrupts, pytest.raises(SoftTimeLimitExceeded):
        interrupts.call(work, interrupts)
    assert written == ["whole"]
    assert not interrupts.open


def test_nothing_strikes_outside_of_the_agents_code() -> None:
    with Interrupts() as interrupts:
        interrupts.reason = lambda: CANCELLED
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            send(number)()
        time.sleep(0.05)
        assert interrupts.overtime


def test_the_end_of_the_worker_ends_the_run_and_then_the_process() -> None:
    ended = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    try:
        with Interrupts() as interrupts:
            soon(send(signal.SIGTERM))
            with pytest.raises(RunStopped) as stopped:
                interrupts.call(time.sleep, HOUR)
            assert stopped.value.ending is TERMINATED
            assert ended == []
        assert ended == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_do_not_open_or_close_the_door() -> None:
    with Interrupts() as interrupts:
        seen = []

        def look() -> None:
            with interrupts.closed():
                seen.append(interrupts.open)

        def work() -> None:
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()

        interrupts.call(work)
        assert seen == [True]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_no_event_loop_keeps_an_interrupt_in_a_result(number: signal.Signals) -> None:
    async def work() -> tuple[BaseException, BaseException]:
        return await asyncio.gather(sleep(), sleep(), return_exceptions=True)

    async def sleep() -> NoReturn:
        time.sleep(HOUR)
        raise AssertionError

    with Interrupts() as interrupts:

        def strike() -> None:
            interrupts.reason = lambda: CANCELLED if number == signal.SIGUSR2 else None
            send(number)()

        soon(strike)
        with pytest.raises(RunStopped if number == signal.SIGUSR2 else SoftTimeLimitExceeded):
            interrupts.call(asyncio.run, work())


def test_a_process_that_the_agent_forks_ends_by_the_signals_that_it_gets() -> None:
    begun, begin = os.pipe()
    with Interrupts():
        child = os.fork()
        if child == 0:
            os.write(begin, b"!")
            time.sleep(HOUR)
            os._exit(0)
        # Python forgets in a new process what signals it got before it was ready for any.
        os.read(begun, 1)
        os.kill(child, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
    os.close(begun)
    os.close(begin)


def test_a_process_that_the_agent_forks_ends_where_its_code_does_and_writes_nothing_of_the_run() -> None:
    heard, told = os.pipe()

    def fork() -> int:
        child = os.fork()
        if child == 0:
            try:
                with interrupts.closed():
                    os.write(told, b"wrote")
            except RuntimeError:
                os.write(told, b"refused")
        return child

    with Interrupts() as interrupts:
        child = interrupts.call(fork)
        if child == 0:
            os.write(told, b", went on")
            os._exit(7)
    os.close(told)
    with open(heard, "rb") as said:
        assert said.read() == b"refused"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(("end", "code"), [(0, 0), (None, 0), (3, 3), ("a message", 1), (ValueError("broke"), 1)])
def test_a_process_that_the_agent_forks_ends_with_the_code_that_it_chose(end: object, code: int) -> None:
    def fork() -> int:
        child = os.fork()
        if child == 0:
            raise end if isinstance(end, ValueError) else SystemExit(end)
        return child

    with Interrupts() as interrupts:
        child = interrupts.call(fork)
        if child == 0:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == code
