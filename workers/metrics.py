"""The numbers of a worker's processes, put together; beat's too. Imported before anything that counts.

Beside the road. What a pool child counts is lost to its parent, so where a worker serves its metrics each of its
processes writes its numbers into a file of one directory, by its place and not by its id: a child that takes the place
of another goes on with its numbers. The reaper, which never forks, serves the sum (`workers/metrics_server`). Beat is one
process and serves its own.
"""

from __future__ import annotations

import atexit
import fcntl
import glob
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

from billiard.process import current_process

from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.errors import SettingsError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

#: The variable by which prometheus_client, and the reaper, are told where processes write their numbers.
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
#: How the names of such directories begin, and the file in each that its worker holds.
PREFIX, LOCK = "swallowtail-worker-", "lock"


def _begin() -> None:
    """Have what is imported next count for a whole worker, if this is one that serves its metrics.

    A directory that somebody else has set is none of a worker's: another one may write to it from the same places.
    """
    if _is_reaper():
        if not _is_shared():
            return
    elif "worker" in sys.argv and _find_port():
        _remove_left_over()
        os.environ[DIRECTORY] = tempfile.mkdtemp(prefix=PREFIX)
        _hold(os.environ[DIRECTORY])
        atexit.register(_remove, os.environ[DIRECTORY], os.getpid())
    else:
        return
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(_place)  # type: ignore[no-untyped-call]


def _hold(directory: str) -> None:
    """Lock a file of the directory for as long as a process of this worker lives: an id may be of another container."""
    lock = os.open(os.path.join(directory, LOCK), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Only now is it one that may be found to be held by nobody.
    os.write(lock, b"held")


def _remove_left_over() -> None:
    """Remove the directories of this user's workers that were killed."""
    for directory in glob.glob(os.path.join(tempfile.gettempdir(), f"{PREFIX}*")):
        try:
            lock = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(lock)
            if found.st_size and found.st_uid == os.getuid():
                shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def _find_port() -> int:
    try:
        return load_settings().worker_metrics_port
    except SettingsError:
        # The worker ends with it, in a line of its own (`workers/celery_app`).
        return 0


def _is_reaper() -> bool:
    return "swallowtail.workers.sweeper_process" in sys.orig_argv


def _is_shared() -> bool:
    return os.path.basename(os.environ.get(DIRECTORY, "")).startswith(PREFIX)


def _place() -> str:
    """Return which of a worker's processes this is."""
    process = current_process()
    if process.name != "MainProcess":
        return f"child{getattr(process, 'index', 0)}"
    return "reaper" if _is_reaper() else "main"


def _remove(directory: str, owner: int) -> None:
    # A child that is forked inherits this, and is not to do it.
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)


def keep_to_this_process() -> None:
    """Once in each pool child: have no program that a run starts write its numbers to this worker's files.

    By its id, each of them would leave one there. This process goes on seeing the variable.
    """
    if _is_shared():
        os.unsetenv(DIRECTORY)


def collect() -> CollectorRegistry:
    """Return the numbers of this worker's processes together; of this process where it is no worker's."""
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    if not _is_shared():
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


_begin()
