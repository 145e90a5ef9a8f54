"""Runs one child process for a supervisor and restarts it until it is stopped.

`scripts/processes/supervisor` has one for each process of `swallowtail up`, `app/web/serving/multiprocess` one for each
web process.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


#: What the exit codes mean with which a shell ends if it cannot execute a program.
_SHELL_CODES = {
    126: " (the program cannot be executed: permit it with chmod +x)",
    127: " (the program is not found: install it, or write its path)",
}


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """In seconds: how long a stopping process may take, and the pauses before a restart (see the settings)."""

    grace: float
    pause: float
    pause_max: float
    forget: float


class LineSplitter:
    """Splits a stream of bytes into lines of text; invalid UTF-8 is replaced."""

    #: A line without an end is returned in pieces of this many bytes.
    LONGEST = 65_536

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Add the next bytes and return the completed lines; empty bytes mean the end of the stream."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > self.LONGEST):
            whole, self._rest = [*whole, self._rest], b""
        return [line.decode(errors="replace").rstrip("\r") for line in whole]


class ChildProcess:
    """Runs one command in a session or process group of its own, so that Ctrl-C reaches the supervisor only.

    `print_line(text)` receives messages about restarts and ends, `show(name, line)` every line of output. Without
    `show`, the output goes where the supervisor's output goes.
    """

    def __init__(
        self,
        name: str,
        command: str,
        *,
        env: Mapping[str, str],
        policy: RestartPolicy,
        print_line: Callable[[str], None],
        show: Callable[[str, str], None] | None = None,
        own_session: bool = True,
    ) -> None:
        self.name = name
        self._command = command
        self._env = dict(env)
        self._policy = policy
        self._show = show
        self._print_line = print_line
        self._place: dict[str, Any] = {"start_new_session": True} if own_session else {"process_group": 0}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The id of the running process."""
        return None if self._process is None else self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the running process."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def run_once(self) -> int:
        """Run the command to its end. Returns the exit code, or the negative number of the signal that ended it."""
        process = await self._start()
        if self._stopping.is_set():
            # `stop` was called before the process existed.
            process.terminate()
        code = await process.wait()
        await self._clear(process)
        return code

    async def keep_running(self, final: Collection[int] = ()) -> int:
        """Restart the command each time it ends, after a pause that grows while it keeps ending soon.

        Returns the exit code after `stop` (0 if it was not running), or at once an exit code in `final`.
        """
        clock = asyncio.get_running_loop().time
        pause = self._policy.pause
        while not self._stopping.is_set():
            began = clock()
            code = await self.run_once()
            if self._stopping.is_set() or code in final:
                return code
            if clock() - began >= self._policy.forget:
                pause = self._policy.pause
            self._print_line(f"{self.name} ended {describe(code)}; starting it again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(max(pause, 0.01) * 2, self._policy.pause_max)
        return 0

    async def stop(self) -> None:
        """Terminate the process; kill its whole group after the grace."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        # Only the first process gets the signal: a pool that gets it drops the work that its parent waits for.
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._policy.grace)
        except TimeoutError:
            self._print_line(f"{self.name} did not end within {self._policy.grace:g} s; killing it")
            self.kill()
            await process.wait()
        await self._clear(process)

    def kill(self) -> None:
        """Kill the process and its group."""
        self._stopping.set()
        if self._process is not None:
            _signal_group(self._process.pid, signal.SIGKILL)

    async def _start(self) -> asyncio.subprocess.Process:
        if self._show is None:
            self._process = await self._execute(None)
            return self._process
        # Not asyncio's pipe: with that, `wait` also waits for every grandchild that keeps the output open.
        output, inlet = os.pipe()
        self._reader = asyncio.create_task(self._relay(output, self._show))
        try:
            self._process = await self._execute(inlet)
        finally:
            os.close(inlet)
        return self._process

    async def _execute(self, output: int | None) -> asyncio.subprocess.Process:
        supervisor = os.getpid()
        # exec: the command replaces the shell, so that signals reach the command.
        return await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            f"exec {self._command}",
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=lambda: _end_with_supervisor(supervisor),
            **self._place,
        )

    async def _clear(self, process: asyncio.subprocess.Process) -> None:
        """Kill the processes that are left of the group, such as a pool, and show the last lines."""
        _signal_group(process.pid, signal.SIGKILL)
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=self._policy.grace)
        self._process = None

    async def _relay(self, output: int, show: Callable[[str, str], None]) -> None:
        stream = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(output, "rb", buffering=0)
        )
        splitter = LineSplitter()
        while True:
            data = await stream.read(LineSplitter.LONGEST)
            for line in splitter.feed(data):
                show(self.name, line)
            if not data:
                return


def describe(code: int) -> str:
    """Return how a process ended, as text."""
    if code >= 0:
        return f"with exit code {code}{_SHELL_CODES.get(code, '')}"
    with contextlib.suppress(ValueError):
        return f"by {signal.Signals(-code).name}"
    return f"by signal {-code}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _end_with_supervisor(supervisor: int) -> None:
    """In the new process: make the kernel stop it when the supervisor ends, even if killed. Linux only."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        os._exit(1)
