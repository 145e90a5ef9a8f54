"""Measures a load on a system: the load client in one process, emitters in others, and the server's CPU time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.arrivals import Commits
from bench.scenarios import Figures, Scenario
from bench.systems import ROOT, Emitter, System


class LoadProcess:
    """The load client in its own process."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def send(self, do: str, **order: Any) -> None:
        """Send a command without waiting for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "port": self._port, **order}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the last command."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load client ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self.send(do, **order)
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()


def measure(kind: type[System], scenario: Scenario, redis_url: str, scratch: Path) -> Figures:
    """Run one load on a fresh server. Raises RuntimeError or OSError if the system fails."""
    system = kind(redis_url, scratch, scenario.rooms)
    try:
        system.start()
        with LoadProcess(system.port) as load:
            return _MEASURES[scenario.measure](system, load, scenario)
    finally:
        system.stop()


def _prepare(system: System, scenario: Scenario, first: int) -> list[Emitter]:
    """Start the scenario's emitters, each with its share of the rooms, and wait until all are ready."""
    share = scenario.rooms // scenario.emitters
    ranges = [range(place * share, (place + 1) * share) for place in range(scenario.emitters)]
    emitters = [system.emitter(rooms, scenario.rate, scenario.events, first) for rooms in ranges]
    for emitter in emitters:
        emitter.ready()
    return emitters


def _begin(emitters: list[Emitter]) -> None:
    for emitter in emitters:
        emitter.go()


def _finish(emitters: list[Emitter]) -> tuple[float, Commits]:
    """Wait for the emitters; return the CPU seconds that they used, and when their events were committed."""
    reports = [emitter.finish() for emitter in emitters]
    commits = {room: moments for one in reports for room, moments in one.get("commits", {}).items()}
    return sum(float(one["cpu_s"]) for one in reports), commits


def _warm_up(system: System, load: LoadProcess, scenario: Scenario) -> int:
    """Send single events until one has reached every client; return the number of the next event."""
    for number in range(1, 11):
        emitter = system.emitter(range(scenario.rooms), 0, 1, number)
        emitter.ready()
        load.send("collect", per_client=1, patience=3)
        _begin([emitter])
        _finish([emitter])
        if load.answer()["lost"] == 0:
            return number + 1
    raise RuntimeError(f"{system.name} does not deliver")


def _measure_stream(system: System, load: LoadProcess, scenario: Scenario) -> Figures:
    """Measure a steady stream, or a burst, to clients that are all subscribed."""
    load.ask("connect", clients=scenario.clients, rooms=scenario.rooms, window=200)
    first = _warm_up(system, load, scenario)
    emitters = _prepare(system, scenario, first)
    load.send("collect", per_client=scenario.events, patience=10)
    before = system.cpu_seconds()
    _begin(emitters)
    report = load.answer()
    used = system.cpu_seconds() - before
    emitting, commits = _finish(emitters)
    if not report["delivered"]:
        raise RuntimeError("nothing was delivered")
    return {
        "cpu_us": used / report["delivered"] * 1e6,
        **load.ask("time", commits=commits),
        **_losses(report),
        "load_us": report["client_cpu_s"] / report["delivered"] * 1e6,
        "load_core_pct": _share(report),
        "emit_us": emitting / (scenario.events * scenario.rooms) * 1e6,
    }


def _connect(system: System, load: LoadProcess, scenario: Scenario) -> Figures:
    """Measure how long it takes to subscribe all clients, and what an idle one costs."""
    empty, before = system.memory(), system.cpu_seconds()
    opened = load.ask("connect", clients=scenario.clients, rooms=1, window=500)
    connected = opened["connected"]
    if not connected:
        raise RuntimeError("no client could connect")
    return {
        "seconds": opened["seconds"],
        "per_s": connected / opened["seconds"],
        "connected": connected,
        "connect_cpu_us": (system.cpu_seconds() - before) / connected * 1e6,
        "kb_per_client": (system.memory() - empty) / connected / 1024,
        "load_core_pct": _share(opened),
    }


def _resume(system: System, load: LoadProcess, scenario: Scenario) -> Figures:
    """Measure how long it takes to send every client what it missed while all were disconnected."""
    load.ask("connect", clients=scenario.clients, rooms=1, window=200)
    first = _warm_up(system, load, scenario)
    load.ask("drop")
    emitters = _prepare(system, scenario, first)
    _begin(emitters)
    _finish(emitters)
    before = system.cpu_seconds()
    report = load.ask("resume", per_client=scenario.events, window=1000, patience=20)
    if not report["delivered"]:
        raise RuntimeError("nothing was delivered")
    return {
        "seconds": report["seconds"],
        "cpu_us": (system.cpu_seconds() - before) / report["delivered"] * 1e6,
        **_losses(report),
        "load_us": report["client_cpu_s"] / report["delivered"] * 1e6,
        "load_core_pct": _share(report),
    }


def _losses(report: dict[str, Any]) -> Figures:
    return {"lost_pct": 100 * report["lost"] / report["expected"], "repeated": report["repeated"]}


def _share(report: dict[str, Any]) -> float:
    """Return the share of one core that the load client used: near 100, it limited the measurement."""
    return float(100 * report["client_cpu_s"] / report["seconds"])


_MEASURES: dict[str, Callable[[System, LoadProcess, Scenario], Figures]] = {
    "fan_out": _measure_stream,
    "connect": _connect,
    "resume": _resume,
}
