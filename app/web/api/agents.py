"""REST: what can be submitted, and what its input must look like."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from app.core import reads
from app.core.validate import check_line
from app.web.api.answers import AgentList
from app.web.api.paging import write_page
from app.web.api.shapes import Agent
from app.web.bodies import write_json
from app.web.parts import get_runtime

_TAG = {"name": "Agents", "description": "Who does the work, and what input it takes."}

bp = APIBlueprint("agents", __name__, tag=_TAG, url_prefix="/api/v1/agents")


@bp.get("")
@bp.output(AgentList)
def list_agents() -> Response:
    """List agents"""
    with get_runtime().db.read() as session:
        return write_page(reads.list_agents(session))


@bp.get("/<kind>")
@bp.output(Agent)
def show_agent(kind: str) -> Response:
    """Show an agent's card"""
    kind = check_line(kind, "kind", longest=100)
    with get_runtime().db.read() as session:
        return write_json(reads.read_agent(session, kind))
