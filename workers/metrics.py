"""Collects the metrics of all processes of a worker. Imported before any module that defines metrics.

A parent does not see what its pool children count. If a worker serves its metrics, each of its processes writes them to
a file of one directory, named after its role or index and not its process id, so that a replacement child continues the
numbers. The sweeper process, which never forks, serves the sum (`workers/metrics_server`). Beat is a single process.
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

#: Environment variable that names, for prometheus_client and the sweeper process, the directory of the metrics.
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
#: Prefix of the directories, and the file in each that its worker keeps locked.
PREFIX, LOCK = "swallowtail-worker-", "lock"


def _begin() -> None:
    """Let metrics that are defined from now on count for the whole worker, if it serves them.

    A directory from the environment is not used: another worker may write to the same files in it.
    """
    if _is_sweeper():
        if not _is_shared():
            return
    elif "worker" in sys.argv and _find_port():
        _remove_stale()
        os.environ[DIRECTORY] = tempfile.mkdtemp(prefix=PREFIX)
        _lock(os.environ[DIRECTORY])
        atexit.register(_remove, os.environ[DIRECTORY], os.getpid())
    else:
        return
    from prometheus_client import values

    values.ValueClass = values.MultiProcessValue(_process_name)  # type: ignore[no-untyped-call]


def _lock(directory: str) -> None:
    """Lock a file of the directory while this worker lives; process ids are ambiguous across containers."""
    lock = os.open(os.path.join(directory, LOCK), os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # From now on, an unlocked file means that the directory is stale.
    os.write(lock, b"locked")


def _remove_stale() -> None:
    """Remove the directories of killed workers of this user."""
    for directory in glob.glob(os.path.join(tempfile.gettempdir(), f"{PREFIX}*")):
        try:
            lock = os.open(os.path.join(directory, LOCK), os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(lock)
            if status.st_size and status.st_uid == os.getuid():
                shutil.rmtree(directory, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


def _find_port() -> int:
    try:
        return load_settings().worker_metrics_port
    except SettingsError:
        # `workers/celery_app` reports the error.
        return 0


def _is_sweeper() -> bool:
    return "swallowtail.workers.sweeper_process" in sys.orig_argv


def _is_shared() -> bool:
    return os.path.basename(os.environ.get(DIRECTORY, "")).startswith(PREFIX)


def _process_name() -> str:
    """Return the name of this process within its worker."""
    process = current_process()
    if process.name != "MainProcess":
        return f"child{getattr(process, 'index', 0)}"
    return "sweeper" if _is_sweeper() else "main"


def _remove(directory: str, owner: int) -> None:
    # A forked child inherits this handler and must not run it.
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)


def keep_to_this_process() -> None:
    """In a pool child, hide the directory from programs that a run starts: each would leave a file there."""
    if _is_shared():
        os.unsetenv(DIRECTORY)


def collect() -> CollectorRegistry:
    """Return the metrics of all processes of this worker; of this process if it is not a worker's."""
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.multiprocess import MultiProcessCollector

    if not _is_shared():
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


_begin()
