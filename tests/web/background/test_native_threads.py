"""Memory-hungry work runs in a few threads, however many callers ask for it."""

from __future__ import annotations

import queue
import threading

import pytest

from swallowtail.app.web.background.native_threads import NativeThreads


def test_many_callers_share_few_threads() -> None:
    pool = NativeThreads(2, threading, queue, lambda get: get())
    seen: list[int] = []
    results: list[int] = []

    def record(number: int) -> int:
        seen.append(threading.get_ident())
        return number

    def ask(number: int) -> None:
        results.append(pool.run(record, number))

    callers = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(results) == list(range(40))
    assert 1 <= len(set(seen)) <= 2


def test_an_error_is_raised_in_the_caller_and_the_threads_continue() -> None:
    pool = NativeThreads(1, threading, queue, lambda get: get())
    with pytest.raises(ZeroDivisionError):
        pool.run(lambda: 1 // 0)
    with pytest.raises(KeyboardInterrupt):
        pool.run(_interrupt)
    assert pool.run(lambda word: word * 2, "a") == "aa"


def _interrupt() -> None:
    raise KeyboardInterrupt
