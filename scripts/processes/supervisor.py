"""Runs the processes of a deployment on one machine until Ctrl-C, and restarts those that end.

`swallowtail up` executes it. The embedded server starts first, then the release runs to its end, then web, worker
and beat start. Web starts beside the release when the tables need no migration. Existing Procfile runners stop
everything when one process ends, which is why Swallowtail has a supervisor of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Protocol

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.schema_version import is_up_to_date
from swallowtail.app.core.process.child_process import ChildProcess, RestartPolicy, describe
from swallowtail.scripts.banner import ready_message, wait_for_answer, wait_for_worker
from swallowtail.scripts.processes.embedded_redis import prepare_address
from swallowtail.scripts.processes.process_output import ProcessOutput

SERVER, RELEASE, WEB, WORKER = "redis", "release", "web", "worker"
#: Seconds for which web starts alone: on two cores, the others would take half of its time.
HEAD_START = 3.0


class Service(Protocol):
    """Keeps a process running."""

    async def keep_running(self) -> object:
        """Restart it each time it ends, until `stop`."""

    async def stop(self) -> None:
        """End it."""

    def kill(self) -> None:
        """Kill it at once."""


class Supervisor:
    """Starts the processes in order, restarts them, and stops them in the opposite order."""

    def __init__(self, settings: Settings, commands: dict[str, str]) -> None:
        self.settings = settings
        self.lines = ProcessOutput(list(commands))
        self._release = self.make_child(RELEASE, commands[RELEASE]) if RELEASE in commands else None
        self._children: dict[str, Service] = {name: self.make_service(name, line) for name, line in commands.items()}
        self._stop = asyncio.Event()
        self._failed = False

    def make_child(self, name: str, command: str) -> ChildProcess:
        """Return what runs a command under the settings, with its lines shown under the name."""
        s = self.settings
        return ChildProcess(
            name,
            command,
            env=make_environment(),
            policy=RestartPolicy(s.stop_grace, s.restart_pause, s.restart_pause_max, s.restart_forget),
            show=self.lines.show,
            print_line=self.lines.print_line,
        )

    def make_service(self, name: str, command: str) -> Service:
        """Return what runs a process of the deployment."""
        return self._release if name == RELEASE and self._release is not None else self.make_child(name, command)

    async def run(self) -> int:
        """Run until a signal or until the release fails. Returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ask_to_stop)
        work = asyncio.create_task(self._run_processes())
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        work.cancel()
        stop.cancel()
        await self._stop_all()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return 1 if self._failed else 0

    async def _run_processes(self) -> None:
        async with asyncio.TaskGroup() as group:
            await self._start_all(group)

    async def _start_all(self, group: asyncio.TaskGroup) -> None:
        has_server = self.settings.embedded_redis and SERVER in self._children
        if has_server:
            prepare_address(self.settings)
            self._keep_running(SERVER, group)
        is_early = WEB in self._children and is_up_to_date(self.settings)
        if is_early:
            self._keep_running(WEB, group)
        # The release needs the database only.
        if self._release is not None and (code := await self._release.run_once()) != 0:
            rest = "web is stopped again" if is_early else "nothing else is started"
            self.lines.print_line(f"the release ended {describe(code)}; {rest}")
            self._failed = True
            self._stop.set()
            return
        if has_server:
            await self._wait_for_server()
        if WEB in self._children:
            if not is_early:
                self._keep_running(WEB, group)
            await self._wait_for_web()
        for name in self._services():
            if name != WEB:
                self._keep_running(name, group)
        await wait_for_answer(self.settings, "/readyz")
        if WORKER in self._children:
            await wait_for_worker(self.settings)
        self.lines.print_line(await ready_message(self.settings))

    def _keep_running(self, name: str, group: asyncio.TaskGroup) -> None:
        group.create_task(self._children[name].keep_running())

    async def _wait_for_server(self) -> None:
        while not await asyncio.to_thread(_answers, self.settings.redis):
            await asyncio.sleep(0.02)

    async def _wait_for_web(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wait_for_answer(self.settings, "/healthz"), HEAD_START)

    async def _stop_all(self) -> None:
        self.lines.print_line("stopping")
        await asyncio.gather(*(self._children[name].stop() for name in self._children if name != SERVER))
        if SERVER in self._children:
            await self._children[SERVER].stop()
        self.lines.print_line("stopped")

    def _services(self) -> list[str]:
        return [name for name in self._children if name not in (SERVER, RELEASE)]

    def _ask_to_stop(self) -> None:
        if self._stop.is_set():
            for child in self._children.values():
                child.kill()
        self._stop.set()


def make_environment() -> dict[str, str]:
    """Return this environment with this Python's programs first in PATH and with unbuffered output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _answers(url: str) -> bool:
    # Imported here, beside the release: the import takes a tenth of a second, and the processes have started by then.
    import redis

    client = redis.Redis.from_url(url, socket_timeout=1.0)
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False
    finally:
        client.close()
