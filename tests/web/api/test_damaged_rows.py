"""A damaged row does not affect the other rows of a response."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from tests.web.app_fixture import WebApp, expect_json


@pytest.mark.parametrize("place", ["title", "description", "version"])
def test_bytes_in_the_place_of_a_cards_text_keep_no_other_agent_out_of_the_list(web_app: WebApp, place: str) -> None:
    register(web_app.rt.db, [AgentCard("bad", "Bad", "", "1", {})])
    with web_app.rt.db.write() as session:
        session.execute(text(f"UPDATE agent SET {place} = X'FF00FE' WHERE kind = 'bad'"))
    agents = {agent["kind"]: agent for agent in expect_json(web_app.get("/agents"))["items"]}
    assert set(agents) == {"bad", "brief"}
    assert "\ufffd" in agents["bad"][place]
