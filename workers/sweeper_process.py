"""The sweeper process beside a worker: recovers lost tasks, repeats its registration, extends leases, serves metrics.

It is a process of its own, because a thread of a process that forks may leave its locks to the children for ever. The
worker runs `python -m swallowtail.workers.sweeper_process` and restarts it when it ends; it ends with the worker.
"""

from __future__ import annotations

import signal

from swallowtail.app.core.process.early_interrupt import accept_interrupt, blocked_interrupt

if __name__ == "__main__":
    # Ctrl-C reaches every process of the terminal; the worker decides when this one ends.
    accept_interrupt(signal.SIG_IGN)

# isort: split

# Before any module that defines metrics: this process serves those of the worker.
import swallowtail.workers.metrics  # noqa: F401 - for what it does

# isort: split

import contextlib
import os
import subprocess
import sys
import threading
from functools import partial
from typing import Any

import structlog
from celery import bootsteps
from celery import signals as celery_signals

from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.coordination.worker_registry import announce, retire
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.logs.setup import configure_logging
from swallowtail.app.core.logs.unlogged_output import begin
from swallowtail.app.core.process.library_check import SWEEPER, check_libraries
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.core.process.python_command import python_command
from swallowtail.app.core.process.quick_exit import skip_last_collection
from swallowtail.app.core.runtime import Runtime
from swallowtail.workers import metrics_server
from swallowtail.workers.lease_keeper import LeaseKeeper
from swallowtail.workers.run.shared_memory import SharedMemory
from swallowtail.workers.runtime.worker_runtime import (
    agents,
    heartbeat_writer,
    shared_memory,
    short_lived_runtime,
    worker_id,
)

log = structlog.get_logger(__name__)

#: How often worker and sweeper process check whether the other one lives, in seconds.
CHECK_SECONDS = 1.0
#: How long a stopped sweeper process may take to finish its sweep, in seconds.
STOP_SECONDS = 5.0
#: How long a process that ends waits for the database to withdraw the worker, in seconds.
WITHDRAW_SECONDS = 2.0


class SweeperStep(bootsteps.StartStopStep):
    """Keeps one sweeper process running beside the worker's main process."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")
    label = "sweeper"

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: Any = None

    def start(self, worker: Any) -> None:
        """Register the worker before it takes a task; start the process, and restart it whenever it ends."""
        register_worker()
        self._ensure_running()
        self._timer = worker.timer.call_repeatedly(CHECK_SECONDS, self._ensure_running)

    def close(self, worker: Any) -> None:
        """Announce the stop to every run, if no signal did. Every shutdown begins with this."""
        shared_memory().announce_stop()
        log.info("worker_stops", runs=len(shared_memory().open_slots()))

    def stop(self, worker: Any) -> None:
        """At a warm shutdown, end the process only after the pool, which ends later, has finished its runs."""
        celery_signals.worker_shutdown.connect(self.terminate, weak=False)

    def terminate(self, parent: Any = None, **_: object) -> None:
        """End the process at a cold shutdown."""
        if self._timer is not None:
            self._timer.cancel()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.returncode != 0:
                # It was still starting, or was ended before it withdrew the worker.
                with short_lived_runtime() as short:
                    withdraw_worker(short.db, os.getpid())
            self._process = None

    def _ensure_running(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None:
            log.warning("sweeper_process_ended", code=self._process.returncode)
        descriptor = shared_memory().descriptor
        module = "swallowtail.workers.sweeper_process"
        command = python_command(module, str(os.getpid()), str(descriptor), *agents())
        with blocked_interrupt():
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[descriptor])


def register_worker() -> None:
    """Register this worker and its kinds; called in its main process, and repeated by the sweeper process."""
    try:
        with short_lived_runtime() as short:
            announce(short.db, worker_id(os.getpid()), agents(), short.settings.announce_interval)
    except Exception as fault:  # the sweeper process registers it when the database is back
        log.warning("announcement_postponed", reason=repr(fault))


def withdraw_worker(db: Database, pid: int) -> None:
    """End the registration of the worker with this main process; without the database, it ends by itself."""
    with contextlib.suppress(Exception):
        retire(db, worker_id(pid), wait=WITHDRAW_SECONDS)


def main() -> None:
    """Sweep until SIGTERM, or until the process that started this one is gone."""
    begin()
    skip_last_collection()
    try:
        check_libraries(*SWEEPER)
        settings = join(load_settings())
        runtime = Runtime.build(settings, has_sweeper=True)
    except SwallowtailError as error:
        sys.exit(f"settings: {error.message}")
    configure_logging(settings)
    # The worker passes its id: it may be gone before this process can ask for its parent.
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else os.getppid()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    metrics_server.serve(runtime, settings.worker_metrics_port)
    _work(runtime, parent, stopping)
    with contextlib.suppress(Exception):
        runtime.close()


def _work(runtime: Runtime, parent: int, stopping: threading.Event) -> None:
    """Sweep, keep the worker registered and extend leases until `stopping` is set or the parent is gone."""
    settings = runtime.settings
    sweeper = runtime.make_sweeper()
    sweeper.start()
    # Without a worker's memory there are no runs whose leases it extends.
    memory = SharedMemory(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    update = partial(_update_registration, runtime, parent, memory)
    announcer = PeriodicThread("announcement", update, settings.announce_interval)
    announcer.start()
    announcer.wake()
    keeper = LeaseKeeper(memory, heartbeat_writer(runtime), settings)
    keeper.start()
    was_stopping = memory.is_stopping
    while os.getppid() == parent and not stopping.wait(CHECK_SECONDS):
        if memory.is_stopping and not was_stopping:
            was_stopping = True
            announcer.wake()
    sweeper.stop()
    announcer.stop(timeout=1.0)
    keeper.stop(timeout=1.0)
    withdraw_worker(runtime.db, parent)


def _update_registration(runtime: Runtime, parent: int, memory: SharedMemory) -> None:
    """Register the worker again; withdraw it if it stops: it may finish its runs for minutes, but takes no other."""
    if memory.is_stopping:
        withdraw_worker(runtime.db, parent)
    else:
        announce(runtime.db, worker_id(parent), sys.argv[3:], runtime.settings.announce_interval)


if __name__ == "__main__":
    main()
