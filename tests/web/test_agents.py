"""The agents' cards over REST."""

from __future__ import annotations

from tests.web.desk import BRIEF, Desk, problem, take

CARD = {
    "kind": "brief",
    "title": "Brief",
    "description": "Takes a brief",
    "version": "1",
    "input_schema": BRIEF,
    "soft_time_limit": None,
    "hard_time_limit": None,
}


def test_agents_are_listed_and_shown_with_their_cards(desk: Desk) -> None:
    assert take(desk.get("/agents")) == {"items": [CARD], "next_cursor": None}
    assert take(desk.get("/agents/brief")) == CARD


def test_an_unknown_kind_is_not_found(desk: Desk) -> None:
    problem(desk.get("/agents/nobody"), 404, "not_found", "kind")
    problem(desk.get("/agents/%00"), 422, "invalid_input", "kind")
    problem(desk.get("/agents/" + "a" * 101), 422, "invalid_input", "kind")
