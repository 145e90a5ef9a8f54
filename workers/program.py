"""Runs Celery's `worker` or `beat` with this deployment's application: `python -m swallowtail.workers.program worker`.

`swallowtail worker` and `swallowtail beat` execute it. Further arguments are options of Celery's command.
"""

from __future__ import annotations

from swallowtail.app.core.process.early_interrupt import accept_interrupt

if __name__ == "__main__":
    accept_interrupt()

# isort: split

import signal
import sys
from collections.abc import Sequence

# Before Celery's command, which imports it with the current folder on the path, before the libraries.
import swallowtail.workers.celery_app  # noqa: F401 - for what it does

# isort: split

from celery.bin.celery import celery

from swallowtail.app.core.process.quick_exit import skip_last_collection

APPLICATION = "swallowtail.workers.celery_app"
#: The arguments of each command before those of the caller. Workers exchange no messages: the database has their state.
COMMANDS = {
    "worker": ("--without-gossip", "--without-mingle", "--without-heartbeat"),
    "beat": ("-S", "swallowtail.workers.beat_scheduler:DatabaseScheduler", "--pidfile="),
}
#: The option of a worker that waits, with everything imported but the agents, for SIGUSR1 (`scripts/processes/dev`).
STANDBY = "--standby"


def wait_for_start() -> None:
    """Wait for the signal, which the process inherits as blocked; SIGTERM ends the process as ever."""
    start = {signal.SIGUSR1}
    signal.sigwait(start)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, start)


def main(arguments: Sequence[str]) -> None:
    """Run the command that the first argument names until it ends, and exit."""
    skip_last_collection()
    name, *options = arguments or ["--help"]
    if STANDBY in options:
        options.remove(STANDBY)
        arguments = [name, *options]
        wait_for_start()
    if name == "beat":
        # Celery imports it after it has installed a signal handler that needs it whole.
        import swallowtail.workers.beat_scheduler  # noqa: F401 - for what it does
    # Celery executes `sys.argv` with this Python when SIGHUP restarts a worker.
    sys.argv = ["-P", "-m", "swallowtail.workers.program", *arguments]
    line = ["--quiet", "-A", APPLICATION, name, *COMMANDS.get(name, ()), *options]
    celery.main(args=line, prog_name="swallowtail", auto_envvar_prefix="CELERY")


if __name__ == "__main__":
    main(sys.argv[1:])
