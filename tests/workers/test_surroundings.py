"""What a run changes in its process is put back before the next one."""

from __future__ import annotations

import decimal
import gc
import locale
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.surroundings import kept


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def set_precision() -> None:
    decimal.getcontext().prec = 3


def set_zone() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "directory": (lambda: os.chdir("/"), os.getcwd),
    "umask": (lambda: os.umask(0o007), current_umask),
    "new variable": (lambda: os.environ.update(ODD="1"), lambda: dict(os.environ)),
    "lost variable": (lambda: os.environ.pop("PATH"), lambda: dict(os.environ)),
    "time zone": (set_zone, lambda: time.localtime(0).tm_hour),
    "locale": (lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"), lambda: locale.setlocale(locale.LC_ALL)),
    "recursion": (lambda: sys.setrecursionlimit(5000), sys.getrecursionlimit),
    "collection": (gc.disable, gc.isenabled),
    "path": (lambda: sys.path.insert(0, "/odd"), lambda: list(sys.path)),
    "output": (lambda: setattr(sys, "stdout", sys.stderr), lambda: sys.stdout),
    "ignored signal": (
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGTERM),
    ),
    "handled signal": (
        lambda: signal.signal(signal.SIGUSR2, lambda *_: None),
        lambda: signal.getsignal(signal.SIGUSR2),
    ),
    "blocked signal": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP]),
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, []),
    ),
    "alarm": (lambda: signal.alarm(3600), lambda: signal.getitimer(signal.ITIMER_REAL)[0] < 1000),
    "precision": (set_precision, lambda: decimal.getcontext().prec),
    "warnings": (lambda: warnings.simplefilter("error"), lambda: list(warnings.filters)),
    "timeout": (lambda: socket.setdefaulttimeout(1.5), socket.getdefaulttimeout),
}


@pytest.mark.parametrize("what", CHANGES)
def test_it_is_put_back(what: str) -> None:
    change, look = CHANGES[what]
    before = look()

    def work() -> None:
        with kept():
            change()
            raise LookupError

    with pytest.raises(LookupError):
        work()
    assert look() == before


def test_a_directory_that_is_gone_does_not_keep_the_rest_from_being_put_back(tmp_path: Path) -> None:
    before, limit = os.getcwd(), sys.getrecursionlimit()
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    try:
        with kept():
            (tmp_path / "gone").rmdir()
            sys.setrecursionlimit(5000)
    finally:
        os.chdir(before)
    assert sys.getrecursionlimit() == limit


def test_chance_is_not_foretold_by_what_another_run_chose() -> None:
    with kept():
        random.seed(1)
        expected = random.random()
        random.seed(1)
    with kept():
        assert random.random() != expected


def test_a_process_that_is_left_behind_is_ended() -> None:
    with kept():
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=[3600])
        process.start()
    assert multiprocessing.active_children() == []
    assert not process.is_alive()
