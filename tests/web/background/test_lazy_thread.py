"""A thread that begins with its first work."""

from __future__ import annotations

import threading

import pytest

from swallowtail.app.web.background.lazy_thread import LazyThread

pytestmark = pytest.mark.unit


class Work:
    def __init__(self) -> None:
        self.begun: list[threading.Thread] = []
        self.told = threading.Event()
        self.late = LazyThread("late", self.run)

    def run(self) -> None:
        self.begun.append(threading.current_thread())
        self.told.wait(60)


def test_it_begins_once_however_many_want_it_to() -> None:
    work = Work()
    callers = [threading.Thread(target=work.late.begin) for _ in range(20)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    work.late.end(work.told.set, 60)
    assert [thread.name for thread in work.begun] == ["late"]


def test_it_is_told_to_end_and_waited_for() -> None:
    work = Work()
    work.late.begin()
    work.late.end(work.told.set, 60)
    assert [thread.is_alive() for thread in work.begun] == [False]


def test_one_that_never_began_is_told_nothing() -> None:
    work = Work()
    work.late.end(work.told.set, 60)
    assert (work.begun, work.told.is_set()) == ([], False)


def test_another_begins_after_the_end() -> None:
    work = Work()
    work.late.begin()
    work.late.end(work.told.set, 60)
    work.late.begin()
    work.late.end(work.told.set, 60)
    assert len(work.begun) == 2
