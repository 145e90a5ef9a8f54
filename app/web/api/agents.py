"""REST endpoints of agents: which kinds of tasks can be submitted, with the schemas of their inputs."""

from __future__ import annotations

from apiflask import APIBlueprint
from flask import Response

from swallowtail.app.core.schemas.instances import AgentView
from swallowtail.app.core.validation import check_line
from swallowtail.app.web.api.reads import open_reader, write_page
from swallowtail.app.web.api.schemas.responses import AgentList, response
from swallowtail.app.web.request.json_body import write_json

_TAG = {"name": "Agents", "description": "Agents perform tasks; each has a card with the schema of its input."}

bp = APIBlueprint("agents", __name__, tag=_TAG, url_prefix="/api/v1/agents")


@bp.get("")
@bp.output(AgentList)
def list_agents() -> Response:
    """List agents"""
    with open_reader() as reader:
        return write_page(reader.agents())


@bp.get("/<kind>")
@bp.output(response(AgentView))
def show_agent(kind: str) -> Response:
    """Show an agent"""
    kind = check_line(kind, "kind", longest=100)
    with open_reader() as reader:
        return write_json(reader.agent(kind))
