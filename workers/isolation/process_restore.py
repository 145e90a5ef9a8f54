"""What a run finds and leaves of its process: everything that an agent may change for all is put back at its end.

Beside the road, in a pool child, which performs one run after another: without this, a directory, a limit or a variable
that one tenant's agent changed would be another's surprise. `process_state` has the table of it. Where something cannot
be put back, another child takes the place of this one before the next run.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import multiprocessing.process
import multiprocessing.resource_tracker
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from billiard.pool import EX_RECYCLE
from billiard.process import current_process

from swallowtail.workers.isolation.process_state import TABLE, Kept, Stuck

log = structlog.get_logger(__name__)

#: Our own threads, which outlast a run.
_OURS = frozenset({"announcer", "heartbeat", "lease-watch"})
#: Seconds that threads of a run which has ended may take to end, too.
_LAST_MOMENT = 0.2

_spent = threading.Event()


@contextmanager
def kept() -> Iterator[None]:
    """Put back at the end of the block what is of the process, and end the processes that were begun in it.

    What cannot be put back, such as a thread that runs on and is no daemon, makes it the last run (`renew`).
    """
    taken = list(_take())
    with warnings.catch_warnings():
        try:
            yield
        finally:
            for each, before in taken:
                _put_back(each, before)


def _take() -> Iterator[tuple[Kept, Any]]:
    """Read what is to be put back. What cannot be read, as on another system, is left out: no run fails for it."""
    for each in (*_LEFT, *TABLE):
        try:
            before = each.take()
        except Exception as fault:
            log.warning("surroundings_not_read", what=each.name, reason=str(fault) or type(fault).__name__)
        else:
            yield each, before


def _put_back(each: Kept, before: Any) -> None:
    try:
        each.put_back(before)
    except Exception as fault:  # the rest is to be put back all the same
        _spent.set()
        log.warning("surroundings_not_restored", what=each.name, reason=str(fault) or type(fault).__name__)


def allow_processes() -> None:
    """Once in each pool child: let `multiprocessing` work there, by new interpreters unless somebody asks otherwise.

    Celery marks its children as daemons, which may have none of their own, and leaves them a key of its own kind. A
    fork would copy the threads' locks and the connections of the run.
    """
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    config["daemon"] = False
    config["authkey"] = multiprocessing.process.AuthenticationString(config["authkey"])  # type: ignore[attr-defined]
    multiprocessing.set_start_method("spawn", force=True)


def renew(worker: Any = None) -> None:
    """Once in each pool child: have it end, as after the last of its runs, instead of waiting for a next one.

    `worker` is what the pool calls in its child. It looks its methods up only after this.
    """
    worker = current_process()._target if worker is None else worker  # type: ignore[attr-defined]
    wait: Callable[[], Any] = worker.wait_for_job

    def wait_for_job() -> Any:
        if _spent.is_set():
            log.info("child_replaced")
            sys.exit(EX_RECYCLE)
        return wait()

    worker.wait_for_job = wait_for_job


def _threads() -> set[threading.Thread]:
    return set(threading.enumerate())


def _look_for_threads(before: set[threading.Thread]) -> None:
    until = time.monotonic() + _LAST_MOMENT
    # Daemon threads are what libraries keep for the life of a process: a new child for each would help nobody.
    left = [thread for thread in _threads() - before if thread.name not in _OURS and not thread.daemon]
    for thread in left:
        # One that is none of Python's own cannot be waited for, and is at work whenever it is seen.
        with suppress(RuntimeError):
            thread.join(max(until - time.monotonic(), 0.0))
    names = [thread.name for thread in left if thread.is_alive()]
    if names:
        raise Stuck(f"threads still run: {', '.join(names[:5])}")


def _children() -> set[int]:
    """Return the ids of this process's children but for the helpers that `multiprocessing` keeps; Linux only."""
    found: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(pid) for pid in file.read_text().split()}
    tracker = getattr(multiprocessing.resource_tracker, "_resource_tracker", None)
    server = getattr(multiprocessing.forkserver, "_forkserver", None)
    return found - {getattr(tracker, "_pid", None), getattr(server, "_forkserver_pid", None)}


def _end_children(before: set[int]) -> None:
    for process in multiprocessing.active_children():
        log.warning("process_left_behind", pid=process.pid)
        process.kill()
        process.join()
    for pid in _children() - before:
        log.warning("process_left_behind", pid=pid)
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


_LEFT = (Kept("processes", _children, _end_children), Kept("threads", _threads, _look_for_threads))
