"""The sweeper process beside a worker: recovers lost tasks, extends leases for blocked runs, serves metrics.

It is a process of its own, because a thread of a process that forks may leave its locks to the children for ever. The
worker runs `python -m swallowtail.workers.sweeper_process` and restarts it when it ends; it ends with the worker.
"""

from __future__ import annotations

# Before any module that defines metrics: this process serves those of the worker.
import swallowtail.workers.metrics  # noqa: F401 - for what it does

# isort: split

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import structlog
from celery import bootsteps
from celery import signals as celery_signals

from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.coordination.worker_registry import announce, retire
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
from swallowtail.workers.run.lease_keeper import LeaseKeeper
from swallowtail.workers.run.shared_memory import SharedMemory
from swallowtail.workers.runtime.worker_runtime import agents, heartbeat_writer, pid_namespace, shared_memory

log = structlog.get_logger(__name__)

#: How often worker and sweeper process check whether the other one lives, in seconds.
CHECK_SECONDS = 1.0
#: How long a stopped sweeper process may take to finish its sweep, in seconds.
STOP_SECONDS = 5.0


class SweeperStep(bootsteps.StartStopStep):
    """Keeps one sweeper process running beside the worker's main process."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")
    label = "sweeper"

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: Any = None

    def start(self, worker: Any) -> None:
        """Start the process, and restart it whenever it ends."""
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
            self._process = None

    def _ensure_running(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None:
            log.warning("sweeper_process_ended", code=self._process.returncode)
        descriptor = shared_memory().descriptor
        module = "swallowtail.workers.sweeper_process"
        command = python_command(module, str(os.getpid()), str(descriptor), *agents())
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[descriptor])


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
    # Ctrl-C reaches every process of the terminal; the worker decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    metrics_server.serve(runtime, settings.worker_metrics_port)
    _work(runtime, parent, stopping)
    with contextlib.suppress(Exception):
        runtime.close()


def _work(runtime: Runtime, parent: int, stopping: threading.Event) -> None:
    """Sweep, announce the worker and extend leases until `stopping` is set or the parent is gone."""
    settings = runtime.settings
    sweeper = runtime.make_sweeper()
    sweeper.start()
    worker_id, interval = f"{socket.gethostname()}:{pid_namespace()}:{parent}", settings.announce_interval
    announcer = PeriodicThread(
        "announcement", lambda: announce(runtime.db, worker_id, sys.argv[3:], interval), interval
    )
    announcer.start()
    announcer.wake()
    # Without a worker's memory there are no runs whose leases it extends.
    memory = SharedMemory(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    keeper = LeaseKeeper(memory, heartbeat_writer(runtime), settings)
    keeper.start()
    while os.getppid() == parent and not stopping.wait(CHECK_SECONDS):
        pass
    sweeper.stop()
    announcer.stop(timeout=1.0)
    keeper.stop(timeout=1.0)
    with contextlib.suppress(Exception):
        retire(runtime.db, worker_id)


if __name__ == "__main__":
    main()
