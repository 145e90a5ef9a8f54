"""Formats the results of the benchmark as tables, for a terminal and as Markdown."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.scenarios import OURS, Figures, Scenario
from bench.systems import find_node

#: Results by load and system: the medians, or why there are none.
Results = dict[str, dict[str, Figures | str]]

TITLES = {
    "cpu_us": "server CPU, µs per delivery", "p50_ms": "p50, ms", "p99_ms": "p99, ms", "max_ms": "max, ms",
    "commit_ms": "from emit to commit, p50, ms",
    "lost_pct": "lost, %", "repeated": "twice", "load_us": "load client CPU, µs per delivery",
    "load_core_pct": "load client, % of a core", "emit_us": "emitter CPU, µs per event", "seconds": "seconds",
    "per_s": "connections per s", "connected": "connected", "connect_cpu_us": "server CPU, µs per connection",
    "kb_per_client": "memory, KB per client",
}  # fmt: skip
_WORDS = {True: "reached", False: "not reached", None: "unknown"}


def describe_machine() -> dict[str, Any]:
    """Return a description of the machine and its software."""
    node = subprocess.run([find_node(), "--version"], capture_output=True, text=True, check=False).stdout.strip()
    names = ("python-socketio", "Flask-SocketIO", "eventlet", "redis", "hiredis")
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "node": node,
        "load_average_before": round(os.getloadavg()[0], 1),
        **{name: version(name) for name in names},
    }


def show(console: Console, results: Results, scenarios: Iterable[Scenario]) -> None:
    """Print a table for each load, with each figure's ratio to ours, and the goals."""
    for scenario in scenarios:
        heads, rows = _table(results[scenario.name])
        table = Table(title=scenario.name, title_justify="left", title_style="bold")
        for place, head in enumerate(heads):
            table.add_column(head, justify="right" if place else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        for text, verdict in describe_goals(results[scenario.name], scenario):
            console.print(f"  {text}: {verdict}")


def describe_goals(outcome: dict[str, Figures | str], scenario: Scenario) -> list[tuple[str, str]]:
    """Return the goals of a load, each with whether it was reached."""
    figures = {name: measured for name, measured in outcome.items() if isinstance(measured, dict)}
    return [(goal.text, _WORDS[goal.is_reached(figures)]) for goal in scenario.goals]


def as_markdown(results: Results, scenarios: Iterable[Scenario], machine: dict[str, Any], runs: int) -> str:
    """Return everything as a page of Markdown."""
    return "\n".join(_lines(results, list(scenarios), machine, runs)) + "\n"


def _lines(results: Results, scenarios: list[Scenario], machine: dict[str, Any], runs: int) -> Iterator[str]:
    yield "# Measurements"
    yield ""
    yield "Written by `./scripts/bench --markdown docs/measurements.md`: each load on each system in turn, with one"
    yield f"load client on the same machine; medians of {runs} runs. Brackets show multiples of our figure. Latency is"
    yield "the time from the commit of an event to its arrival at a client; the other systems commit nothing, so theirs"
    yield "begins at the emit."
    yield "Environment:"
    yield ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items()) + "."
    yield ""
    yield "| load | to be reached | |"
    yield "|---|---|---|"
    for scenario in scenarios:
        for text, verdict in describe_goals(results[scenario.name], scenario):
            yield f"| {scenario.name} | {text} | {verdict} |"
    for scenario in scenarios:
        heads, rows = _table(results[scenario.name])
        yield ""
        yield f"## {scenario.name}"
        yield ""
        yield "| " + " | ".join(heads) + " |"
        yield "|---" + "|--:" * (len(heads) - 1) + "|"
        for row in rows:
            yield "| " + " | ".join(row) + " |"


def _table(outcome: dict[str, Figures | str]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: a row for each figure, a column for each system."""
    names = list(outcome)
    ours = outcome.get(OURS)
    figures = next((list(measured) for measured in outcome.values() if isinstance(measured, dict)), [])
    rows = []
    for figure in figures:
        row = [TITLES.get(figure, figure)]
        for name in names:
            measured = outcome[name]
            if isinstance(measured, str):
                row.append("failed")
            else:
                row.append(_cell(measured[figure], ours[figure] if isinstance(ours, dict) and name != OURS else 0.0))
        rows.append(row)
    rows += [[f"why {name} failed", *(measured if name == one else "" for one in names)]
             for name, measured in outcome.items() if isinstance(measured, str)]  # fmt: skip
    return ["", *names], rows


def _cell(value: float, ours: float) -> str:
    ratio = f" (x {value / ours:.1f})" if ours else ""
    return f"{value:,.0f}{ratio}" if abs(value) >= 1000 else f"{value:.2f}{ratio}"
