"""The sweep beside a worker: `python -m swallowtail.workers.sweeper_process`. Off the road: it brings back to it what was lost.

It also beats for runs that cannot (`workers/run/lease_keeper`).

A process of its own, because a thread in a process that forks may leave its locks to the children for ever. The worker
starts it and starts it again when it ends; it ends with the worker, however that comes about.
"""

from __future__ import annotations

# Before whatever counts is imported: a worker's numbers are served from here.
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
from swallowtail.app.core.deployment import join
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.logs.setup import configure_logging
from swallowtail.app.core.logs.unlogged_output import begin
from swallowtail.app.core.maintenance.sweeper import Sweeper
from swallowtail.app.core.runtime import Runtime
from swallowtail.workers import metrics_server
from swallowtail.workers.registry.announcer import Announcer
from swallowtail.workers.run.lease_keeper import Keeper
from swallowtail.workers.run.shared_memory import Board
from swallowtail.workers.worker_runtime import agents, board, find_space, impatient

log = structlog.get_logger(__name__)

#: How often the worker looks whether its reaper lives, and the reaper whether its worker does, in seconds.
LOOK_SECONDS = 1.0
#: How long a stopped reaper may take to finish its sweep.
STOP_SECONDS = 5.0


class ReaperStep(bootsteps.StartStopStep):
    """Keeps one reaper beside the worker's main process."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")
    label = "reaper"

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        self._process: subprocess.Popen[bytes] | None = None
        self._timer: Any = None

    def start(self, worker: Any) -> None:
        """Start the reaper, and look after it from now on."""
        self._look()
        self._timer = worker.timer.call_repeatedly(LOOK_SECONDS, self._look)

    def close(self, worker: Any) -> None:
        """Tell every run that the worker stops, if no signal did. The first thing that is done at each shutdown."""
        board().leave()
        log.info("worker_stops", runs=len(board().open_slots()))

    def stop(self, worker: Any) -> None:
        """Let the reaper live on at a warm shutdown until the pool, which ends after this, has finished its runs."""
        celery_signals.worker_shutdown.connect(self._end, weak=False)

    def _end(self, **_: object) -> None:
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

    def terminate(self, worker: Any) -> None:
        """End the reaper at a cold shutdown."""
        self._end()

    def _look(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None:
            log.warning("reaper_ended", code=self._process.returncode)
        shared = board().descriptor
        command = [
            sys.executable,
            "-m",
            "swallowtail.workers.sweeper_process",
            str(os.getpid()),
            str(shared),
            *agents(),
        ]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[shared])


def main() -> None:
    """Sweep until told to stop, or until the process that started this is gone."""
    begin()
    try:
        chosen = join(load_settings())
        runtime = Runtime.build(chosen)
    except SwallowtailError as wrong:
        sys.exit(f"settings: {wrong.message}")
    configure_logging(chosen)
    # The worker tells its id: it may be gone before this process can ask who its parent is.
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else os.getppid()
    stopping = threading.Event()
    # Ctrl-C reaches the whole terminal; the worker decides when its reaper ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    metrics_server.serve(runtime, chosen.worker_metrics_port)
    sweeper = Sweeper(runtime)
    sweeper.start()
    announcer = Announcer(runtime, f"{socket.gethostname()}:{find_space()}:{parent}", sys.argv[3:])
    announcer.start()
    if len(sys.argv) > 2:
        keeper = Keeper(Board(int(sys.argv[2])), impatient(runtime), chosen)
        threading.Thread(target=keeper.run, args=(stopping,), name="keeper", daemon=True).start()
    while os.getppid() == parent and not stopping.wait(LOOK_SECONDS):
        pass
    sweeper.stop()
    announcer.stop()
    with contextlib.suppress(Exception):
        runtime.close()


if __name__ == "__main__":
    main()
