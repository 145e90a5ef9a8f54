"""REST: what can be submitted, and what its input must look like."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from app.core.validate import check_line
from app.web.api.answers import AgentList
from app.web.api.paging import write_page
from app.web.api.scope import seeing
from app.web.api.shapes import Agent
from app.web.bodies import write_json

_TAG = {"name": "Agents", "description": "Who does the work, and what input it takes."}

bp = APIBlueprint("agents", __name__, tag=_TAG, url_prefix="/api/v1/agents")


@bp.get("")
@bp.output(AgentList)
def list_agents() -> Response:
    """List agents"""
    with seeing() as sight:
        return write_page(sight.agents())


@bp.get("/<kind>")
@bp.output(Agent)
def show_agent(kind: str) -> Response:
    """Show an agent's card"""
    kind = check_line(kind, "kind", longest=100)
    with seeing() as sight:
        return write_json(sight.agent(kind))
