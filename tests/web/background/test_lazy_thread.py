"""A thread that starts with its first work."""

from __future__ import annotations

import threading

import pytest

from swallowtail.app.web.background.lazy_thread import LazyThread

pytestmark = pytest.mark.unit


class Work:
    """Work that runs until it is signalled to end."""

    def __init__(self) -> None:
        self.started: list[threading.Thread] = []
        self.signalled = threading.Event()
        self.thread = LazyThread("lazy", self.run)

    def run(self) -> None:
        self.started.append(threading.current_thread())
        self.signalled.wait(60)

    def stop(self) -> None:
        self.thread.stop(self.signalled.set, 60)


def test_it_starts_once_for_any_number_of_callers() -> None:
    work = Work()
    callers = [threading.Thread(target=work.thread.start) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    work.stop()
    assert [thread.name for thread in work.started] == ["lazy"]


def test_stop_signals_it_and_waits_for_its_end() -> None:
    work = Work()
    work.thread.start()
    work.stop()
    assert [thread.is_alive() for thread in work.started] == [False]


def test_stop_signals_nothing_before_the_first_start() -> None:
    work = Work()
    work.stop()
    assert (work.started, work.signalled.is_set()) == ([], False)


def test_another_thread_starts_after_the_end() -> None:
    work = Work()
    work.thread.start()
    work.stop()
    work.thread.start()
    work.stop()
    assert len(work.started) == 2
