"""Supervises several web processes on one address: `swallowtail web --processes 4`.

The parent serves no requests and imports nothing of the application. It reserves the address, starts its children,
restarts those that die, forwards the signal to end, and waits until all have closed. If the parent is killed, the
kernel signals each child (see `app/core/process/child_process`).
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import socket
import sys
from pathlib import Path

from prometheus_client import multiprocess

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.process.child_process import ChildProcess, RestartPolicy
from swallowtail.app.core.process.private_files import open_private
from swallowtail.app.core.process.python_command import python_command
from swallowtail.app.core.security.signing_keys import SigningKeys
from swallowtail.app.web.serving.listener import name_of, reserve

#: Exit code of a child whose settings cannot be used: a restart would not help.
UNUSABLE = 2
#: The option that passes a child its number, from 1.
MEMBER = "--member"


class ProcessGroup:
    """The child processes of one parent."""

    def __init__(self, settings: Settings, metrics: Path, port: int) -> None:
        """`metrics` is the directory of their metrics; all listen on `port`."""
        env = {**os.environ, "SWALLOWTAIL_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
        self._children = [_WebProcess(number, settings, env, metrics) for number in range(1, settings.processes + 1)]
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT, or until the settings prove unusable; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)
        keepers = [asyncio.create_task(child.keep_running(final=(UNUSABLE,))) for child in self._children]
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([stop, *keepers], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        await asyncio.gather(*(child.stop() for child in self._children))
        codes = await asyncio.gather(*keepers)
        return UNUSABLE if UNUSABLE in codes else int(any(codes))

    def _ask_to_stop(self) -> None:
        if self._stop.is_set():
            # The second signal: the operator does not want to wait.
            for child in self._children:
                child.kill()
        self._stop.set()


class _WebProcess(ChildProcess):
    def __init__(self, number: int, settings: Settings, env: dict[str, str], metrics: Path) -> None:
        super().__init__(
            f"web process {number}",
            shlex.join(python_command("swallowtail.app.wsgi", MEMBER, str(number))),
            env=env,
            policy=RestartPolicy(
                settings.stop_grace, settings.restart_pause, settings.restart_pause_max, settings.restart_forget
            ),
            print_line=_print_line,
            own_session=False,
        )
        self._number = number
        self._metrics = metrics

    async def run_once(self) -> int:
        """See `ChildProcess`. The counters of the ended process remain; its gauges do not."""
        code = await super().run_once()
        multiprocess.mark_process_dead(self._number, str(self._metrics))  # type: ignore[no-untyped-call]
        return code


def supervise(settings: Settings) -> int:
    """Serve with several processes until SIGTERM or SIGINT; the exit code. Raises OSError, SettingsError."""
    if not sys.platform.startswith("linux"):
        raise SettingsError("SWALLOWTAIL_PROCESSES: several processes on one address need Linux")
    # Not in each child: a problem is reported once, and a key that does not exist yet is generated once.
    SigningKeys(settings).check()
    with reserve(settings) as reserved:
        metrics = _make_directory(settings, reserved)
        _print_line(f"{settings.processes} web processes on {name_of(reserved)}")
        try:
            return asyncio.run(ProcessGroup(settings, metrics, reserved.getsockname()[1]).run())
        finally:
            shutil.rmtree(metrics, ignore_errors=True)


def _make_directory(settings: Settings, reserved: socket.socket) -> Path:
    """Return an empty directory for the metrics of this address."""
    address = name_of(reserved).removeprefix("http://").replace(":", "-")
    directory = settings.var / "metrics" / address
    shutil.rmtree(directory, ignore_errors=True)
    try:
        # Only the web processes may write their metrics there.
        open_private(settings.var)
        directory.parent.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o700)
    except OSError as error:
        raise SettingsError(f"SWALLOWTAIL_VAR_DIR: {directory} cannot be made: {error.strerror}") from None
    return directory


def _print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
