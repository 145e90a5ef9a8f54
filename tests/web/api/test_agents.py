"""Agents over REST."""

from __future__ import annotations

from tests.web.app_fixture import BRIEF, WebApp, expect_json, expect_problem

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
    assert expect_json(web_app.get("/agents")) == {"items": [CARD], "next_cursor": None}
    assert expect_json(web_app.get("/agents/brief")) == CARD


def test_an_unknown_kind_is_not_found(web_app: WebApp) -> None:
    expect_problem(web_app.get("/agents/nobody"), 404, "not_found", "kind")
    expect_problem(web_app.get("/agents/%00"), 422, "invalid_input", "kind")
    expect_problem(web_app.get("/agents/" + "a" * 101), 422, "invalid_input", "kind")
