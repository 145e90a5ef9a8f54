"""The agents' cards over REST."""

from __future__ import annotations

from tests.web.app_fixture import BRIEF, WebApp, problem, take

CARD = {
    "kind": "brief",
    "title": "Brief",
    "description": "Takes a brief",
    "version": "1",
    "input_schema": BRIEF,
    "soft_time_limit": None,
    "hard_time_limit": None,
}


def test_agents_are_listed_and_shown_with_their_cards(web_app: WebApp) -> None:
    assert take(web_app.get("/agents")) == {"items": [CARD], "next_cursor": None}
    assert take(web_app.get("/agents/brief")) == CARD


def test_an_unknown_kind_is_not_found(web_app: WebApp) -> None:
    problem(web_app.get("/agents/nobody"), 404, "not_found", "kind")
    problem(web_app.get("/agents/%00"), 422, "invalid_input", "kind")
    problem(web_app.get("/agents/" + "a" * 101), 422, "invalid_input", "kind")
