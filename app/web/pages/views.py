"""Serves the HTML pages with their current state; small ES modules keep them up to date.

Forms use the REST API, and events arrive through the JavaScript client class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, abort, render_template, request, send_from_directory, url_for

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.errors import (
    Forbidden,
    InvalidInput,
    NotFound,
    SwallowtailError,
    TooFast,
    Unauthenticated,
    Unavailable,
)
from swallowtail.app.core.identity.api_tokens import list_own
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.schemas.identities import AuditFilter
from swallowtail.app.core.schemas.instances import AgentView
from swallowtail.app.core.security.permissions import require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.states import TERMINAL, TaskStatus
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.web.api.reads import open_reader
from swallowtail.app.web.container import get_runtime
from swallowtail.app.web.http.problem_details import answer_domain_error
from swallowtail.app.web.pages import instance_settings
from swallowtail.app.web.pages.login import redirect_to_sign_in
from swallowtail.app.web.request.current_caller import act, get_caller

bp = Blueprint("pages", __name__)
bp.add_app_template_global(instance_settings.has_settings)


#: The repository, or the installed package: both have these folders.
_ROOT = Path(__file__).resolve().parents[3]
#: The pages use the same client classes that other programs use.
_CLIENTS = _ROOT / "clients" / "javascript"
_EXAMPLE = _ROOT / "docs" / "websocket_client_example.html"
_STATIC_PATH = re.compile(r"\.\./app/web/static/([\w./-]+)")


@bp.app_template_global()
def format_status(status: str) -> str:
    """Return a status in words: `IN_PROGRESS` is `In progress`."""
    return status.replace("_", " ").capitalize()


@bp.app_template_filter()
def indented(value: Any) -> str:
    """Return indented JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


@bp.app_template_filter()
def to_compact_json(value: Any) -> str:
    """Return compact JSON."""
    return orjson.dumps(value).decode()


@bp.get("/")
def show_instances() -> str:
    """List the instances."""
    limit = get_runtime().settings.page_size
    with _open_page_reader() as reader:
        page = reader.instances(limit=limit, cursor=request.args.get("cursor"))
    return render_template("instances.html", instances=page[0], next_cursor=page[1])


@bp.get("/instances/<instance_id>")
def show_tasks(instance_id: str) -> str:
    """Show an instance's tasks, filtered by `status` and `kind`."""
    status, kind = _read_status(request.args.get("status")), request.args.get("kind") or None
    limit = get_runtime().settings.page_size
    with _open_page_reader() as reader:
        instance = reader.instance(check_instance_id(instance_id))
        tasks, more = reader.tasks(instance_id, limit=limit, status=status, kind=kind)
        state = {"tasks": tasks, "next_cursor": more, "since": _since(reader, instance_id)}
        agents, may = reader.agents(), reader.allowed_acts(instance_id)
    return render_template(
        "tasks.html",
        instance=instance,
        agents=agents,
        sample=_find_sample(agents),
        statuses=TaskStatus,
        selection={"status": status or "", "kind": kind or ""},
        state=state,
        may=may,
    )


@bp.get("/instances/<instance_id>/new")
def show_submission(instance_id: str) -> str:
    """Show the form to submit a task; `kind` selects the agent, and `sample` fills in its example."""
    with _open_page_reader() as reader:
        instance = reader.instance(check_instance_id(instance_id))
        agents = reader.agents()
        kind_warnings = reader.kind_warnings(agents)
    kinds = [agent["kind"] for agent in agents]
    kind = request.args.get("kind")
    return render_template(
        "submit.html",
        instance=instance,
        agents=agents,
        kind_warnings=kind_warnings,
        state={"agents": agents, "kind": kind if kind in kinds else _default_kind(kinds)},
    )


@bp.get("/instances/<instance_id>/schedules")
def show_schedules(instance_id: str) -> str:
    """Show an instance's schedules."""
    limit, cursor = get_runtime().settings.page_size, request.args.get("cursor")
    with _open_page_reader() as reader:
        instance = reader.instance(check_instance_id(instance_id))
        agents = reader.agents()
        kind_warnings = reader.kind_warnings(agents)
        schedules, more = reader.schedules(instance_id, limit=limit, cursor=cursor)
        since, may = _since(reader, instance_id), reader.allowed_acts(instance_id)
    kind = _default_kind([agent["kind"] for agent in agents])
    page = {"items": schedules, "next_cursor": more}
    state = {"agents": agents, "kind": kind, "schedules": page, "cursor": cursor, "since": since, "may": may}
    return render_template(
        "schedules.html", instance=instance, agents=agents, kind_warnings=kind_warnings, state=state, may=may
    )


@bp.get("/instances/<instance_id>/audit")
def show_audit(instance_id: str) -> str:
    """Show an instance's audit log, filtered by `action` and `actor`."""
    selection, audit_filter = _read_audit_filter()
    limit, cursor = get_runtime().settings.page_size, request.args.get("cursor")
    with _open_page_reader() as reader:
        instance = reader.instance(check_instance_id(instance_id))
        entries, more = reader.audit(instance_id, audit_filter, limit=limit, cursor=cursor)
        may = reader.allowed_acts(instance_id)
    return render_template(
        "audit.html", instance=instance, entries=entries, selection=selection, next_cursor=more, may=may
    )


@bp.get("/audit")
def show_system_audit() -> str:
    """Show the server's audit log, filtered by `action` and `actor`."""
    selection, audit_filter = _read_audit_filter()
    limit, cursor = get_runtime().settings.page_size, request.args.get("cursor")
    with _open_page_reader() as reader:
        entries, more = reader.audit(SYSTEM_SCOPE, audit_filter, limit=limit, cursor=cursor)
    return render_template("audit.html", instance=None, entries=entries, selection=selection, next_cursor=more)


@bp.get("/instances/<instance_id>/settings")
def show_settings(instance_id: str) -> str:
    """Show an instance's members, API tokens and policy, and the forms to export and delete it."""
    with _open_page_reader() as reader:
        instance = reader.instance(check_instance_id(instance_id))
        caller = instance_settings.read_caller(reader, instance_id)
    state = instance_settings.read_state(act(), caller)
    return render_template("settings.html", instance=instance, state=state, may=caller["may"])


@bp.get("/tasks/<task_id>")
def show_task(task_id: str) -> str:
    """Show one task with its steps."""
    with _open_page_reader() as reader:
        task = reader.task(check_task_id(task_id))
        instance = reader.instance(task["instance_id"])
        task_with_steps = {**task, "steps": reader.steps(task["id"])}
        since, may = _since(reader, task["instance_id"]), reader.allowed_acts(task["instance_id"])
        titles = {agent["kind"]: agent["title"] for agent in reader.agents()}
    return render_template(
        "task.html",
        instance=instance,
        task=task,
        agent_title=titles.get(task["kind"], task["kind"]),
        state={"task": task_with_steps, "since": since, "terminal": sorted(TERMINAL), "may": may},
    )


@bp.get("/account")
def show_account() -> str:
    """Show the caller's account: name, personal tokens, password form."""
    with _open_page_reader() as reader:
        require_outside(reader.actor, Act.MANAGE_OWN_TOKENS)
    return render_template("account.html", me=get_caller().actor, tokens=list_own(act()))


@bp.get("/agents")
def show_agents() -> str:
    """List the agents with their input schemas."""
    with _open_page_reader() as reader:
        return render_template("agents.html", agents=reader.agents())


@bp.get("/clients/javascript/<path:name>")
def serve_client(name: str) -> Response:
    """Serve the JavaScript client classes."""
    if not name.endswith(".js"):
        abort(404)
    return send_from_directory(_CLIENTS, name, mimetype="text/javascript")


@bp.get("/docs/websocket_client_example.html")
def serve_example() -> Response:
    """Serve the example page, with the URLs of static files in place of its relative paths."""
    page = _EXAMPLE.read_text(encoding="utf-8")
    return Response(_STATIC_PATH.sub(lambda match: url_for("static", filename=match[1]), page), mimetype="text/html")


@bp.get("/favicon.ico")
def serve_icon() -> Response:
    """Serve the icon to browsers that request it without reading a page."""
    return send_from_directory(Path(__file__).parents[1] / "static", "swallowtail.svg", mimetype="image/svg+xml")


#: Rate limits answer in the same way as everywhere else.
bp.register_error_handler(TooFast, answer_domain_error)


@bp.errorhandler(SwallowtailError)
def answer_error(error: SwallowtailError) -> Any:
    """Redirect to the sign-in page, or show the error as a page."""
    return redirect_to_sign_in(error, show_error) if isinstance(error, Unauthenticated) else show_error(error)


def show_error(error: SwallowtailError) -> tuple[str, int]:
    """Show an error as a page. A malformed URL is reported as not found."""
    if isinstance(error, NotFound | InvalidInput):
        reason = "the address is not valid: " if isinstance(error, InvalidInput) else ""
        return render_template("error.html", title="Page not found", message=reason + error.message), 404
    if isinstance(error, Unauthenticated):
        return render_template("error.html", title="Sign-in required", message=error.message), 401
    if isinstance(error, Forbidden):
        return render_template("error.html", title="Access denied", message=error.message), 403
    status = 503 if isinstance(error, Unavailable) else 500
    return render_template("error.html", title="Temporarily unavailable", message=error.message), status


def _read_audit_filter() -> tuple[dict[str, str], AuditFilter]:
    """Return the filter of an audit log in the query, as text and as an object."""
    selection = {name: request.args.get(name, "").strip() for name in ("action", "actor")}
    return selection, AuditFilter(action=selection["action"] or None, actor=selection["actor"] or None)


def _read_status(value: str | None) -> TaskStatus | None:
    try:
        return TaskStatus(value) if value else None
    except ValueError as fault:
        raise InvalidInput("unknown status", field="status") from fault


@contextmanager
def _open_page_reader() -> Iterator[AuthorizedReads]:
    """Open a read transaction for the caller. Raises Forbidden for API tokens of front ends."""
    if get_caller().actor.kind == "front_end":
        raise Forbidden("an API token cannot open pages; sign in as a user")
    with open_reader() as reader:
        yield reader


def _since(reader: AuthorizedReads, instance_id: str) -> dict[str, Any]:
    head = reader.head(instance_id)
    return {"epoch": head.epoch, "seq": head.seq}


def _default_kind(kinds: list[str]) -> str:
    """Return the agent that a form selects at first."""
    return "social_campaign" if "social_campaign" in kinds else next(iter(kinds), "")


def _find_sample(agents: list[AgentView]) -> AgentView | None:
    """Return the agent whose example the empty list of tasks offers."""
    preferred = _default_kind([agent["kind"] for agent in agents if agent["input_schema"].get("examples")])
    return next((agent for agent in agents if agent["kind"] == preferred), None)
