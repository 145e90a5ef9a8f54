"""Beside the road: one process under the supervisor, kept alive until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.lines import LineSplitter

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: how long a stopping process may take, and the pauses before a restart (see the settings)."""

    grace: float
    pause: float
    pause_max: float
    forget: float


class Child:
    """Runs one command of the Procfile in a session of its own, so that Ctrl-C reaches the supervisor only.

    `show(name, line)` is given every line of its output, `say(text)` what happens to it.
    """

    def __init__(
        self,
        name: str,
        command: str,
        *,
        env: Mapping[str, str],
        patience: Patience,
        show: Callable[[str, str], None],
        say: Callable[[str], None],
    ) -> None:
        self.name = name
        self._command = command
        self._env = dict(env)
        self._patience = patience
        self._show = show
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def run_once(self) -> int:
        """Run the command to its end and return how it ended: the exit code, or minus the signal's number."""
        process = await self._start()
        code = await process.wait()
        await self._clear(process)
        return code

    async def keep_running(self) -> None:
        """Run the command again whenever it ends, after a pause that grows while it keeps ending soon."""
        clock = asyncio.get_running_loop().time
        pause = self._patience.pause
        while not self._stopping.is_set():
            began = clock()
            code = await self.run_once()
            if self._stopping.is_set():
                break
            if clock() - began >= self._patience.forget:
                pause = self._patience.pause
            self._say(f"{self.name} ended {describe(code)}; starting it again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(max(pause, 0.01) * 2, self._patience.pause_max)

    async def stop(self) -> None:
        """Ask it to end, and end it with all it started when it has not by the end of the grace."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        # Only the first process is asked: a pool that got the signal too would drop the work its parent waits for.
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._patience.grace)
        except TimeoutError:
            self._say(f"{self.name} did not end within {self._patience.grace:g} s; killing it")
            self.kill()
            await process.wait()
        await self._clear(process)

    def kill(self) -> None:
        """End it and all it started, at once."""
        self._stopping.set()
        if self._process is not None:
            _signal_group(self._process.pid, signal.SIGKILL)

    async def _start(self) -> asyncio.subprocess.Process:
        supervisor = os.getpid()
        # A pipe of our own: with asyncio's, `wait` would also wait for every grandchild that holds on to the output.
        output, inlet = os.pipe()
        self._reader = asyncio.create_task(self._relay(output))
        try:
            # exec: the shell gives way to the command, so that signals reach the command itself.
            self._process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                f"exec {self._command}",
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=inlet,
                stderr=inlet,
                start_new_session=True,
                preexec_fn=lambda: _die_with(supervisor),
            )
        finally:
            os.close(inlet)
        return self._process

    async def _clear(self, process: asyncio.subprocess.Process) -> None:
        """End what the process left behind: a pool, say, has nobody to work for any more. Then show its last lines."""
        _signal_group(process.pid, signal.SIGKILL)
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=self._patience.grace)
        self._process = None

    async def _relay(self, output: int) -> None:
        stream = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(output, "rb", buffering=0)
        )
        splitter = LineSplitter()
        while True:
            data = await stream.read(LineSplitter.LONGEST)
            for line in splitter.feed(data):
                self._show(self.name, line)
            if not data:
                return


def describe(code: int) -> str:
    """Say how a process ended, for people."""
    if code >= 0:
        return f"with exit code {code}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _die_with(supervisor: int) -> None:
    """In the new process: have the kernel stop it when the supervisor is gone, even killed. Linux only."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        os._exit(1)
