"""What a run finds and leaves of its process: everything that an agent may change for all is put back at its end.

Beside the road, in a pool child, which performs one run after another: without this, a directory, a limit or a variable
that one tenant's agent changed would be another's surprise.
"""

from __future__ import annotations

import contextlib
import decimal
import gc
import locale
import multiprocessing
import multiprocessing.process
import os
import random
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import structlog

log = structlog.get_logger(__name__)

Restore = Callable[[], object]


@contextmanager
def kept() -> Iterator[None]:
    """Put back at the end of the block what is of the process: see `_takers` for what that is.

    Processes that were begun with `multiprocessing` in it and still run are ended.
    """
    restores = [(take.__name__.strip("_"), take()) for take in _takers]
    random.seed()
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        try:
            yield
        finally:
            for name, restore in restores:
                _put_back(name, restore)
            _put_back("processes", _end_processes)


def allow_processes() -> None:
    """Once in each pool child: let `multiprocessing` work there, by new interpreters unless somebody asks otherwise.

    Celery marks its children as daemons, which may have none of their own, and leaves them a key of its own kind. A
    fork would copy the threads' locks and the connections of the run.
    """
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    config["daemon"] = False
    config["authkey"] = multiprocessing.process.AuthenticationString(config["authkey"])  # type: ignore[attr-defined]
    multiprocessing.set_start_method("spawn", force=True)


def _put_back(name: str, restore: Restore) -> None:
    try:
        restore()
    except Exception:  # the rest is to be put back all the same
        log.exception("surroundings_not_restored", what=name)


def _directory() -> Restore:
    try:
        before = os.getcwd()
    except OSError:  # it has been removed
        before = "/"
    return lambda: os.chdir(before)


def _umask() -> Restore:
    before = os.umask(0o077)
    os.umask(before)
    return lambda: os.umask(before)


def _environment() -> Restore:
    before = dict(os.environ)

    def restore() -> None:
        if os.environ != before:
            os.environ.clear()
            os.environ.update(before)
        time.tzset()

    return restore


def _locale() -> Restore:
    before = locale.setlocale(locale.LC_ALL)
    return lambda: locale.setlocale(locale.LC_ALL, before)


def _interpreter() -> Restore:
    limit, interval, collects = sys.getrecursionlimit(), sys.getswitchinterval(), gc.isenabled()
    path, arguments, streams = list(sys.path), list(sys.argv), (sys.stdin, sys.stdout, sys.stderr)
    hooks = sys.excepthook, sys.gettrace(), sys.getprofile()

    def restore() -> None:
        sys.setrecursionlimit(limit)
        sys.setswitchinterval(interval)
        (gc.enable if collects else gc.disable)()
        sys.path[:], sys.argv[:] = path, arguments
        sys.stdin, sys.stdout, sys.stderr = streams
        sys.excepthook = hooks[0]
        sys.settrace(hooks[1])
        sys.setprofile(hooks[2])

    return restore


def _signals() -> Restore:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    mask, timer = signal.pthread_sigmask(signal.SIG_BLOCK, []), signal.getitimer(signal.ITIMER_REAL)

    def restore() -> None:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        for number, handler in before.items():
            # None is a handler that was not put there by Python: nobody can put it back.
            if handler is not None and signal.getsignal(number) is not handler:
                with contextlib.suppress(OSError, ValueError):
                    signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    return restore


def _arithmetic() -> Restore:
    before = decimal.getcontext().copy()
    return lambda: decimal.setcontext(before)


def _sockets() -> Restore:
    before = socket.getdefaulttimeout()
    return lambda: socket.setdefaulttimeout(before)


def _end_processes() -> None:
    for process in multiprocessing.active_children():
        log.warning("process_left_behind", pid=process.pid)
        process.kill()
        process.join()


_takers: list[Callable[[], Any]] = [
    _directory,
    _umask,
    _environment,
    _locale,
    _interpreter,
    _signals,
    _arithmetic,
    _sockets,
]
