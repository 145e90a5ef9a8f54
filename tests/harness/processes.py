"""The processes of Swallowtail, which a test starts, freezes and kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from swallowtail.scripts.processes.command_lines import command_line
from tests.harness.program import Program
from tests.harness.system.ports import free_port
from tests.harness.waiting import wait_until


class WebProcess(Program):
    """`swallowtail web` on a loopback port, of several processes if it is set so. A restart keeps the port."""

    def __init__(self, name: str, directory: Path, env: Mapping[str, str], *, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes = int(env.get("SWALLOWTAIL_PROCESSES", 1))
        super().__init__(
            name,
            command_line("web"),
            log=directory / f"{name}.log",
            env={**env, "SWALLOWTAIL_PORT": str(self.port)},
            cwd=directory,
        )

    def ready(self) -> bool:
        """It says that delivery works, and every process of several listens."""
        listening = self.processes == 1 or self.log_text().count("listening on") >= self.processes
        return listening and self.status("/readyz") == 200

    def members(self) -> list[int]:
        """The process ids of those that serve, where there are several."""
        return _children(self.pid)

    def status(self, path: str) -> int:
        """The status a GET answers with, 0 when nothing answers."""
        # Asked twenty times a second while a process starts: a client of httpx2 costs 30 ms of the processor to make.
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()


class WorkerProcess(Program):
    """`swallowtail worker`."""

    def __init__(self, name: str, directory: Path, env: Mapping[str, str], *, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        super().__init__(
            name,
            [*command_line("worker"), "--hostname", f"{name}@%h", "--concurrency", str(concurrency)],
            log=directory / f"{name}.log",
            env={**env, "SWALLOWTAIL_WORKER_CONCURRENCY": str(concurrency)},
            cwd=directory,
        )

    def ready(self) -> bool:
        """It takes tasks from the queue."""
        return "ready." in self.log_text()

    def pool(self) -> list[int]:
        """The process ids of the pool's children: the forks that run tasks."""
        own = _command_line(self.pid)
        return [pid for pid in _children(self.pid) if _command_line(pid) == own]

    def kill_child(self) -> int:
        """kill -9 of the pool's only child, as the kernel does when memory runs out; its process id."""
        (child,) = wait_until(self.pool, f"{self.name} has a pool child")
        os.kill(child, signal.SIGKILL)
        return child

    def stop_warm(self) -> None:
        """Ask for a warm shutdown (SIGTERM) without waiting: running tasks may end."""
        self.signal(signal.SIGTERM)

    def stop_cold(self) -> None:
        """Ask for a cold shutdown (SIGQUIT) without waiting: running tasks are cut off."""
        self.signal(signal.SIGQUIT)


class BeatProcess(Program):
    """`swallowtail beat`."""

    def __init__(self, name: str, directory: Path, env: Mapping[str, str]) -> None:
        super().__init__(name, command_line("beat"), log=directory / f"{name}.log", env=env, cwd=directory)

    def ready(self) -> bool:
        """It has begun to look for due schedules."""
        return "beat: Starting" in self.log_text()


def _children(pid: int) -> list[int]:
    pids = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            pids.append(int(stat.parent.name))
    return sorted(pids)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
