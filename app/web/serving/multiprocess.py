"""Several web processes on one address: `python -m swallowtail.app.wsgi --processes 4`. The ground beside `app/wsgi`.

The parent serves nobody and loads nothing of the application. It keeps the address, starts its children, starts again
what dies, passes on the signal to end, and waits until all have closed. Killed itself, it takes them along: the kernel
tells each child (see `app/core/process/supervised`).
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
from swallowtail.app.core.process.private_files import open_private
from swallowtail.app.core.process.supervised import Child, Patience
from swallowtail.app.core.security.signing_keys import SigningKeys
from swallowtail.app.web.serving.listener import name_of, reserve

#: How a child ends whose settings cannot be used: starting it again would not help.
UNUSABLE = 2
#: The option by which a child is told its number, from 1.
MEMBER = "--member"


class Family:
    """The children of one parent."""

    def __init__(self, settings: Settings, numbers: Path, port: int) -> None:
        """`numbers` is the directory of their metrics; they all listen on `port`."""
        env = {**os.environ, "SWALLOWTAIL_PORT": str(port), "PROMETHEUS_MULTIPROC_DIR": str(numbers)}
        self._children = [_Member(number, settings, env, numbers) for number in range(1, settings.processes + 1)]
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
            # Asked twice: somebody means it.
            for child in self._children:
                child.kill()
        self._stop.set()


class _Member(Child):
    def __init__(self, number: int, settings: Settings, env: dict[str, str], numbers: Path) -> None:
        super().__init__(
            f"web process {number}",
            shlex.join([sys.executable, "-m", "swallowtail.app.wsgi", MEMBER, str(number)]),
            env=env,
            patience=Patience(
                settings.stop_grace, settings.restart_pause, settings.restart_pause_max, settings.restart_forget
            ),
            say=_say,
            own_session=False,
        )
        self._number = number
        self._numbers = numbers

    async def run_once(self) -> int:
        """See `Child`. What the process counted remains; what it was busy with does not."""
        code = await super().run_once()
        multiprocess.mark_process_dead(self._number, str(self._numbers))  # type: ignore[no-untyped-call]
        return code


def lead(settings: Settings) -> int:
    """Serve with several processes until SIGTERM or SIGINT; the exit code.

    Raises:
        OSError: the address is taken, or not one of this machine's.
        SettingsError: this is not Linux, the var directory cannot be written to, or a key is missing.
    """
    if not sys.platform.startswith("linux"):
        raise SettingsError("SWALLOWTAIL_PROCESSES: several processes on one address need Linux")
    # Here, and not in each child: it is said once, and a key that is made at need is made once.
    SigningKeys(settings).check()
    with reserve(settings) as keeper:
        numbers = _make_directory(settings, keeper)
        _say(f"{settings.processes} web processes on {name_of(keeper)}")
        try:
            return asyncio.run(_run(settings, numbers, keeper.getsockname()[1]))
        finally:
            shutil.rmtree(numbers, ignore_errors=True)


async def _run(settings: Settings, numbers: Path, port: int) -> int:
    return await Family(settings, numbers, port).run()


def _make_directory(settings: Settings, keeper: socket.socket) -> Path:
    """Return an empty directory for the metrics of this address."""
    place = name_of(keeper).removeprefix("http://").replace(":", "-")
    directory = settings.var / "metrics" / place
    shutil.rmtree(directory, ignore_errors=True)
    try:
        # Those that serve write their numbers into it; nobody else is to.
        open_private(settings.var)
        directory.parent.mkdir(mode=0o700, exist_ok=True)
        directory.mkdir(mode=0o700)
    except OSError as fault:
        raise SettingsError(f"SWALLOWTAIL_VAR_DIR: {directory} cannot be made: {fault.strerror}") from None
    return directory


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
