"""Starts each system of the benchmark as a process on a free port of this machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from bench.emit import PAYLOAD
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.ledger.tasks import CheckedTask
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.services.instances import create_instance

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "bench" / "peers"
TICKS = os.sysconf("SC_CLK_TCK")
#: Seconds that a process may take to perform its task.
PATIENCE = 60.0


def free_port() -> int:
    """Return a free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a process listens. Raises RuntimeError if the process ends instead, or takes a minute."""
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen (it ended with {process.returncode})")


class Emitter:
    """A process that emits on command: starting it would take longer than many measurements."""

    def __init__(self, line: list[str], environment: dict[str, str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(line, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True)

    def ready(self) -> None:
        """Wait until it is ready. Raises RuntimeError if it ends instead."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()}")

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def finish(self) -> dict[str, Any]:
        """Wait for its end and return its output (see `bench/emit.py`)."""
        try:
            lines = self._process.communicate(timeout=2 * PATIENCE)[0].splitlines()
        except subprocess.TimeoutExpired:
            self._process.kill()
            lines = self._process.communicate()[0].splitlines()[:0]
        if not lines:
            raise RuntimeError(f"{self._process.args!r} ended with {self._process.returncode}")
        report: dict[str, Any] = json.loads(lines[-1])
        return report


class System(ABC):
    """One system under measurement: a server process, and how to emit to it."""

    name = ""
    #: Its name in `bench.emit`.
    emits_as = ""

    def __init__(self, redis_url: str, scratch: Path, rooms: int) -> None:
        self.redis_url, self.scratch, self.rooms = redis_url, scratch, rooms
        self.port = free_port()
        self.environment = {**os.environ, "BENCH_REDIS": redis_url, "BENCH_PORT": str(self.port)}
        self.environment["BENCH_PAYLOAD"] = json.dumps(PAYLOAD)
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def serve_command(self) -> list[str]:
        """Return the command line of the server."""

    def emit_command(self, rooms: range, rate: int, count: int, first: int) -> list[str]:
        """Return the command line of an emitter for these rooms."""
        numbers = map(str, (rooms.start, rooms.stop, rate, count, first))
        return [sys.executable, "-m", "bench.emit", self.emits_as, *numbers]

    def start(self) -> None:
        """Start the server and wait until it listens."""
        log = (self.scratch / f"{self.name}.log").open("ab")
        self.process = subprocess.Popen(
            self.serve_command(), cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        wait_for_port(self.port, self.process)

    def emitter(self, rooms: range, rate: int, count: int, first: int) -> Emitter:
        """Start an emitter, which waits for `go`."""
        return Emitter(self.emit_command(rooms, rate, count, first), self.environment)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that the server has used."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> int:
        """Return the bytes of memory of the server alone (proportional set size)."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel does not report Pss")

    def stop(self) -> None:
        """End the server."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Swallowtail(System):
    """Swallowtail: one web process on SQLite, with the same Redis as the others."""

    name = "swallowtail"
    emits_as = "ours"

    def __init__(self, redis_url: str, scratch: Path, rooms: int) -> None:
        super().__init__(redis_url, scratch, rooms)
        var = scratch / f"var-{self.port}"
        var.mkdir()
        settings = {
            "SWALLOWTAIL_VAR_DIR": str(var),
            "SWALLOWTAIL_REDIS_URL": redis_url,
            "SWALLOWTAIL_PORT": str(self.port),
            "SWALLOWTAIL_MAX_CONNECTIONS": "20000",
            "SWALLOWTAIL_LOG_LEVEL": "WARNING",
            "SWALLOWTAIL_AUTH": "open",
        }
        self.environment.update(settings)
        self._settings = Settings(var_dir=var, redis_url=redis_url, port=self.port)
        self._prepare()

    def _prepare(self) -> None:
        migrate(self._settings)
        runtime = Runtime.build(join(self._settings))
        for room in range(self.rooms):
            create_instance(runtime, f"Room {room}", f"room-{room}")
            task_id = f"bench-{room}"
            runtime.ledger.submit(CheckedTask(f"room-{room}", "bench", "Bench", {}, "", id=task_id))
            # Ended at once: the task only exists so that events can refer to it.
            runtime.ledger.request_cancel(task_id)
        runtime.close()

    def start(self) -> None:
        """Start the server and wait until it answers: it listens before its modules are loaded, the others later."""
        super().start()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=60) as answer:
            answer.read()

    def serve_command(self) -> list[str]:
        """See `System`."""
        return [sys.executable, "-m", "swallowtail.app.wsgi"]


class FlaskSocketIO(System):
    """Stock Flask-SocketIO with its Redis message queue."""

    name = "flask-socketio"
    emits_as = "stock"

    def serve_command(self) -> list[str]:
        """See `System`."""
        return [sys.executable, "-m", "bench.peers.stock_server"]


class BareSends(System):
    """The sends alone, without a server, as a reference for the machine."""

    name = "bare sends"
    emits_as = "bare"

    def serve_command(self) -> list[str]:
        """See `System`."""
        return [sys.executable, "-m", "bench.peers.bare_server"]


class NodeSocketIO(System):
    """Node's socket.io with the Redis adapter."""

    name = "node socket.io"
    adapter = "redis"

    def serve_command(self) -> list[str]:
        """See `System`."""
        self.environment["BENCH_ADAPTER"] = self.adapter
        return [find_node(), str(PEERS / "node_server.mjs")]

    def emit_command(self, rooms: range, rate: int, count: int, first: int) -> list[str]:
        """See `System`."""
        streams = int(self.adapter == "streams")
        numbers = map(str, (rooms.start, rooms.stop, rate, count, first, streams))
        return [find_node(), str(PEERS / "node_emit.mjs"), *numbers]


class NodeStreams(NodeSocketIO):
    """Node's socket.io with the streams adapter and connection state recovery."""

    adapter = "streams"


def find_node() -> str:
    """Return the path of Node: the one installed beside Python, or any."""
    beside = Path(sys.executable).parent / "node"
    path = str(beside) if beside.exists() else shutil.which("node")
    if path is None:
        raise RuntimeError("there is no node: run scripts/bench, which installs it")
    return path
