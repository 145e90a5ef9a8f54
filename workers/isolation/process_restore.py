"""Restores the state of a pool child after each run, so that no agent's changes reach the next run.

A pool child performs one run after another, possibly of different tenants. `process_state` lists what is restored, such
as the working directory, limits and environment variables. If something cannot be restored, the child is replaced.
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

from swallowtail.workers.isolation.process_state import TABLE, NotRestorable, StateItem

log = structlog.get_logger(__name__)

#: Our own threads, which live longer than a run.
_OWN_THREADS = frozenset({"heartbeat", "lease_watch"})
#: Seconds that threads may take to end after their run.
_THREAD_SECONDS = 0.2

#: Set when something could not be restored.
_must_exit = threading.Event()


@contextmanager
def restored_process() -> Iterator[None]:
    """Restore the state of the process at the end of the block, and end processes that were started in it.

    After a change that cannot be undone, such as a thread that keeps running, this is the child's last run.
    """
    items = list(_read())
    with warnings.catch_warnings():
        try:
            yield
        finally:
            for item, before in items:
                _restore(item, before)


def _read() -> Iterator[tuple[StateItem, Any]]:
    """Read every item. An item that this system does not support is left out: no run fails for it."""
    for item in (*_LEFTOVERS, *TABLE):
        try:
            before = item.read()
        except Exception as error:
            log.warning("process_state_not_read", what=item.name, reason=str(error) or type(error).__name__)
        else:
            yield item, before


def _restore(item: StateItem, before: Any) -> None:
    try:
        item.restore(before)
    except Exception as error:  # the other items are restored all the same
        _must_exit.set()
        log.warning("process_state_not_restored", what=item.name, reason=str(error) or type(error).__name__)


def allow_multiprocessing() -> None:
    """Let `multiprocessing` work in this pool child, with new interpreters by default.

    Celery marks its children as daemons, which may not have children, and sets an authentication key of another type.
    A fork would copy locks of threads and the connections of the run.
    """
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    config["daemon"] = False
    config["authkey"] = multiprocessing.process.AuthenticationString(config["authkey"])  # type: ignore[attr-defined]
    multiprocessing.set_start_method("spawn", force=True)


def exit_after_failed_restore(worker: Any = None) -> None:
    """Let this pool child, which runs the object `worker`, exit after its run if its state was not restored."""
    worker = current_process()._target if worker is None else worker  # type: ignore[attr-defined]
    wait: Callable[[], Any] = worker.wait_for_job

    def wait_for_job() -> Any:
        if _must_exit.is_set():
            log.info("child_replaced")
            sys.exit(EX_RECYCLE)
        return wait()

    worker.wait_for_job = wait_for_job


def _check_threads(before: set[threading.Thread]) -> None:
    until = time.monotonic() + _THREAD_SECONDS
    # Libraries keep daemon threads for the life of a process, so those do not count.
    left = [
        thread
        for thread in set(threading.enumerate()) - before
        if thread.name not in _OWN_THREADS and not thread.daemon
    ]
    for thread in left:
        # A thread that Python did not start cannot be joined and always counts as running.
        with suppress(RuntimeError):
            thread.join(max(until - time.monotonic(), 0.0))
    names = [thread.name for thread in left if thread.is_alive()]
    if names:
        raise NotRestorable(f"threads still run: {', '.join(names[:5])}")


def _children() -> set[int]:
    """Return the ids of this process's children without the helpers of `multiprocessing`; Linux only."""
    pids: set[int] = set()
    for file in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            pids |= {int(pid) for pid in file.read_text().split()}
    tracker = getattr(multiprocessing.resource_tracker, "_resource_tracker", None)
    server = getattr(multiprocessing.forkserver, "_forkserver", None)
    return pids - {getattr(tracker, "_pid", None), getattr(server, "_forkserver_pid", None)}


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


#: Processes and threads that a run left behind.
_LEFTOVERS = (
    StateItem("processes", _children, _end_children),
    StateItem("threads", lambda: set(threading.enumerate()), _check_threads),
)
