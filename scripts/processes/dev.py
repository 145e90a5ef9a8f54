"""Runs every process as `swallowtail up` does, and replaces the worker when a Python file of the folder changes.

A worker takes a second to start. So one more waits, with all libraries imported and no agent (`workers/program`): a
change lets it load the agents and work, and then the earlier worker is stopped. If it cannot load them, the earlier
worker goes on with the agents that it has.
"""

from __future__ import annotations

from swallowtail.app.core.process.early_interrupt import accept_interrupt

if __name__ == "__main__":
    accept_interrupt()

# isort: split

import asyncio
import os
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from watchfiles import PythonFilter, awatch

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.agents_status import read_status
from swallowtail.app.core.process.child_process import ChildProcess, describe
from swallowtail.scripts.processes.command_lines import START, command_line
from swallowtail.scripts.processes.supervisor import Service, Supervisor
from swallowtail.scripts.processes.up import run

WORKER = "worker"
#: Milliseconds without a further change that end a group of changes: an editor writes a file in several steps.
QUIET = 50
#: Seconds for which a stopped worker lets its steps go on, unless the setting is given: the new worker repeats them.
GRACE = "0.5"


class WaitingWorker:
    """A worker that waits, without agents, until `begin`."""

    def __init__(self, child: ChildProcess) -> None:
        self.child = child
        self.end = asyncio.create_task(child.run_once())

    async def begin(self, var: Path) -> bool:
        """Let it load the agents and work. Returns whether it could."""
        while self.child.pid is None and not self.end.done():
            await asyncio.sleep(0.01)
        # If it does not wait yet, the signal is pending until it does.
        self.child.send(START)
        while not self.end.done():
            status = read_status(var)
            if status.pid == self.child.pid:
                return status.error is None
            await asyncio.sleep(0.01)
        return False


class WorkerReloader:
    """Runs one worker with the agents as they are, and replaces it after each change."""

    def __init__(
        self,
        settings: Settings,
        make_child: Callable[[], ChildProcess],
        print_line: Callable[[str], None],
        changes: AsyncIterator[object],
    ) -> None:
        self._settings = settings
        self._make_child = make_child
        self._print_line = print_line
        self._changes = changes
        self._changed = asyncio.Event()
        self._current: WaitingWorker | None = None
        self._next: WaitingWorker | None = None
        self._stops: set[asyncio.Task[None]] = set()

    async def keep_running(self) -> None:
        """Start the worker, and replace it when a file changes or the worker ends. Ends with its task."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch())
            await self._replace()
            while True:
                change = asyncio.create_task(self._changed.wait())
                ends = [self._current.end] if self._current is not None else []
                await asyncio.wait([change, *ends], return_when=asyncio.FIRST_COMPLETED)
                change.cancel()
                if not self._changed.is_set():
                    await self._wait_after_end()
                self._changed.clear()
                await self._replace()

    async def stop(self) -> None:
        """End every worker."""
        workers = [worker for worker in (self._current, self._next) if worker is not None]
        await asyncio.gather(*(worker.child.stop() for worker in workers), *self._stops)

    def kill(self) -> None:
        """Kill every worker."""
        for worker in (self._current, self._next):
            if worker is not None:
                worker.child.kill()

    async def _watch(self) -> None:
        async for _ in self._changes:
            self._changed.set()

    async def _wait_after_end(self) -> None:
        assert self._current is not None
        pause = self._settings.restart_pause
        self._print_line(f"{WORKER} ended {describe(self._current.end.result())}; starting it again in {pause:g} s")
        self._current = None
        await asyncio.sleep(pause)

    async def _replace(self) -> None:
        begun = asyncio.get_running_loop().time()
        worker, self._next = self._next or WaitingWorker(self._make_child()), None
        is_first = self._current is None
        previous, self._next = self._current, worker
        has_loaded = await worker.begin(self._settings.var)
        self._next = None
        if has_loaded:
            self._current = worker
            if previous is not None:
                stop = asyncio.create_task(previous.child.stop())
                self._stops.add(stop)
                stop.add_done_callback(self._stops.discard)
            if not is_first:
                self._print_line(f"agents loaded again in {asyncio.get_running_loop().time() - begun:.1f} s")
        else:
            rest = "no worker runs" if previous is None else "the worker keeps the agents that it has"
            self._print_line(f"the agents cannot be loaded; {rest}. Save the file to try again")
        self._next = WaitingWorker(self._make_child())


class DevSupervisor(Supervisor):
    """A supervisor whose worker follows the files of the current folder."""

    def make_service(self, name: str, command: str) -> Service:
        """Return what runs a process; for the worker, what replaces it."""
        if name != WORKER:
            return super().make_service(name, command)
        # Compiled files hide a change of the same size within the same second.
        line = shlex.join(["env", "PYTHONDONTWRITEBYTECODE=1", *command_line(WORKER, "--standby")])
        changes = awatch(Path.cwd(), watch_filter=PythonFilter(), step=QUIET)
        return WorkerReloader(self.settings, lambda: self.make_child(WORKER, line), self.lines.print_line, changes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until Ctrl-C."""
    os.environ["SWALLOWTAIL_DEV"] = "true"
    os.environ.setdefault("SWALLOWTAIL_SHUTDOWN_GRACE", GRACE)
    # Processes inherit this: the signal is pending until a waiting worker asks for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {START})
    run("swallowtail dev", "Run Swallowtail, with agents loaded again when they change.", DevSupervisor, arguments)


if __name__ == "__main__":
    main()
