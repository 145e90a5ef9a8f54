"""Writes the benchmark table of the README, with figures of the last run beside those of the peers.

`python -m bench.summary` replaces it between two marks in `README.md`, from the results of `./scripts/bench` in
`var/bench.json`; `./scripts/bench --readme README.md` does both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.scenarios import NODE, OURS, STOCK, Figures
from bench.systems import ROOT, BareSends
from bench.tables import Results

BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->\n"
COLUMNS = {OURS: "Swallowtail", BareSends.name: "bare sends", STOCK: "stock Flask-SocketIO", NODE: "Node socket.io"}
LATENCY = ("p50_ms", "p99_ms")


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one load; a single figure is compared with ours."""

    load: str
    text: str
    unit: str
    figures: Sequence[str] = ("cpu_us",)
    #: The text for a system that was not measured.
    instead: Mapping[str, str] = field(default_factory=dict)


ROWS = [
    Row("200 clients x 100/s", "200 clients × 100 events/s: server CPU per delivery", "µs"),
    Row("200 clients x 100/s", "the same: p50 / p99 from commit to client", "ms", LATENCY),
    Row("1,000 clients x 20/s", "1,000 clients × 20 events/s: server CPU per delivery", "µs"),
    Row("1,000 clients x 20/s", "the same: p50 / p99", "ms", LATENCY),
    Row("3,000 clients x 5/s", "3,000 clients × 5 events/s: server CPU per delivery", "µs"),
    Row("3,000 clients x 5/s", "the same: p50 / p99", "ms", LATENCY),
    Row("burst 2,000 to 200", "a burst of 2,000 events to 200 clients: server CPU per delivery", "µs"),
    Row("20 rooms x 50 x 20/s, 4 emitters", "20 rooms × 50 clients × 20 events/s: p50 / p99", "ms", LATENCY),
    Row("3,000 connect, subscribe, idle", "3,000 clients connect and subscribe", "s", ("seconds",)),
    Row("3,000 connect, subscribe, idle", "memory per idle client", "KB", ("kb_per_client",)),
    Row(
        "resume 500 missed, 1,000 clients", "1,000 clients resume 500 missed events", "s", ("seconds",),
        instead={STOCK: "impossible"},
    ),
]  # fmt: skip


def make_table(results: Results) -> str:
    """Return the table as Markdown. Raises KeyError if a load is missing."""
    lines = ["| load | " + " | ".join(COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [f"| {row.text} | " + " | ".join(_cell(results[row.load], row, name) for name in COLUMNS) + " |"
              for row in ROWS]  # fmt: skip
    return "\n".join(lines) + "\n"


def insert_table(page: str, table: str) -> str:
    """Return a page with the table between its marks. Raises ValueError if they are missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place between {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}{table}{end}{after}"


def write(readme: Path, results: Results) -> None:
    """Write the table into a file."""
    readme.write_text(insert_table(readme.read_text(encoding="utf-8"), make_table(results)), encoding="utf-8")


def _cell(results: Mapping[str, Figures | str], row: Row, name: str) -> str:
    figures = results.get(name)
    if not isinstance(figures, dict):
        return "failed" if figures else row.instead.get(name, "")
    cell = " / ".join(_number(figures[figure]) for figure in row.figures) + f" {row.unit}"
    ours = results.get(OURS)
    if name == OURS or len(row.figures) > 1 or not isinstance(ours, dict):
        return cell
    (figure,) = row.figures
    return f"{cell} ({_number(figures[figure] / ours[figure])}×)"


def _number(value: float) -> str:
    if value < 1:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 20 else f"{value:,.0f}"


if __name__ == "__main__":
    write(ROOT / "README.md", json.loads((ROOT / "var" / "bench.json").read_text())["results"])
