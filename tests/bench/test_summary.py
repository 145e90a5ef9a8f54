"""The table of the README is made from the measurements and replaced between its marks."""

from __future__ import annotations

import pytest

from bench.scenarios import NODE, OURS, SCENARIOS, STOCK
from bench.summary import BEGIN, COLUMNS, END, ROWS, insert_table, make_table
from bench.systems import BareSends
from bench.tables import Results
from tests.harness.program import ROOT

FIGURES = {"cpu_us": 12.34, "p50_ms": 3.21, "p99_ms": 1234.5, "seconds": 0.5, "kb_per_client": 4.0}
TWICE = {name: 2 * value for name, value in FIGURES.items()}


def results() -> Results:
    every: Results = {one.name: {OURS: FIGURES, STOCK: "it ended with 1", NODE: TWICE} for one in SCENARIOS}
    every["resume 500 missed, 1,000 clients"] = {OURS: FIGURES, NODE: TWICE}
    every["200 clients x 100/s"][BareSends.name] = FIGURES
    return every


def test_the_table_has_our_figures_and_those_of_the_peers() -> None:
    lines = make_table(results()).splitlines()
    assert len(lines) == len(ROWS) + 2
    assert lines[2] == (
        "| 200 clients × 100 events/s: server CPU per delivery | 12.3 µs | 12.3 µs (1.0×) | failed | 25 µs (2.0×) |"
    )
    assert lines[3] == (
        "| the same: p50 / p99 from commit to client | 3.2 / 1,234 ms | 3.2 / 1,234 ms | failed | 6.4 / 2,469 ms |"
    )
    assert lines[-1] == "| 1,000 clients resume 500 missed events | 0.50 s |  | impossible | 1.0 s (2.0×) |"


def test_the_rest_of_a_page_stays_as_it_is() -> None:
    page = f"before\n{BEGIN}old\n{END}after\n"
    assert insert_table(page, "new\n") == f"before\n{BEGIN}new\n{END}after\n"
    with pytest.raises(ValueError, match="has no place between"):
        insert_table("before\nafter\n", "new\n")


def test_the_readme_has_a_place_for_it() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition(BEGIN)[2].partition(END)[0].splitlines()
    assert table[0] == "| load | " + " | ".join(COLUMNS.values()) + " |"
    assert [line.split(" | ")[0].removeprefix("| ") for line in table[2:]] == [row.text for row in ROWS]
