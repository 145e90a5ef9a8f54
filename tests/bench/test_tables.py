"""A goal is reached, missed or unknown; a failed peer is shown as failed."""

from __future__ import annotations

from bench.scenarios import NODE, OURS, SCENARIOS, STOCK, Figures
from bench.tables import Results, as_markdown, describe_goals

CONNECT = next(one for one in SCENARIOS if one.measure == "connect" and len(one.systems) == 3)
QUICK: Figures = {"seconds": 0.5, "kb_per_client": 4.0}
SLOW: Figures = {"seconds": 1.0, "kb_per_client": 2.0}


def test_a_goal_relative_to_a_peer_uses_its_figures() -> None:
    assert [verdict for _, verdict in describe_goals({OURS: QUICK, NODE: SLOW}, CONNECT)] == ["reached", "not reached"]


def test_a_goal_beside_a_failed_peer_has_no_verdict() -> None:
    verdicts = [verdict for _, verdict in describe_goals({OURS: QUICK, NODE: "it ended with 1"}, CONNECT)]
    assert verdicts == ["unknown"] * 2


def test_the_page_shows_ratios_and_failures() -> None:
    results: Results = {CONNECT.name: {OURS: QUICK, STOCK: "it ended with 1", NODE: SLOW}}
    page = as_markdown(results, [CONNECT], {"cores": 2}, 3)
    assert "| seconds | 0.50 | failed | 1.00 (x 2.0) |" in page
    assert f"| why {STOCK} failed |  | it ended with 1 |  |" in page
    assert f"| {CONNECT.name} | no longer than Node | reached |" in page
