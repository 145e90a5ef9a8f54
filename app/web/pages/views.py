"""The pages for people: HTML with the state of one moment in it; small ES modules keep it up to date from there.

Beside the road: what is submitted here goes through `web/api`, and events arrive through the JavaScript client class.
"""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from flask import Blueprint, Response, abort, render_template, request, send_from_directory, url_for

from swallowtail.app.core.audit.reader import Wanted
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
from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.security.permissions import Act, require_outside
from swallowtail.app.core.states import TERMINAL, TaskStatus
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.app.web.api.permission_scope import seeing
from swallowtail.app.web.container import get_runtime
from swallowtail.app.web.http.problem_details import answer_domain_error
from swallowtail.app.web.pages import instance_settings
from swallowtail.app.web.pages.login import invite
from swallowtail.app.web.request.current_caller import act, get_caller

bp = Blueprint("pages", __name__)
bp.add_app_template_global(instance_settings.keeps, "keeps_instance")


def _find_root() -> Path:
    """The repository, or where an installation without one keeps the files that it serves from there."""
    repository = Path(__file__).resolve().parents[3]
    installed = Path(sysconfig.get_path("data")) / "share" / "swallowtail"
    return repository if (repository / "clients").is_dir() else installed


_ROOT = _find_root()
#: Served as they lie in the repository, so that the pages use the very classes that others are given.
_CLIENTS = _ROOT / "clients" / "javascript"
_EXAMPLE = _ROOT / "docs" / "websocket_client_example.html"
_STATIC_PATH = re.compile(r"\.\./app/web/static/([\w./-]+)")


@bp.app_template_global()
def in_words(status: str) -> str:
    """Return a status as people read it: `IN_PROGRESS` is `In progress`."""
    return status.replace("_", " ").capitalize()


@bp.app_template_filter()
def indented(value: Any) -> str:
    """Return JSON with indents, for reading."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


@bp.app_template_filter()
def in_one_line(value: Any) -> str:
    """Return JSON as short as it gets."""
    return orjson.dumps(value).decode()


@bp.get("/")
def show_instances() -> str:
    """List the instances."""
    limit = get_runtime().settings.page_size
    with _seeing() as sight:
        page = sight.instances(limit=limit, cursor=request.args.get("cursor"))
    return render_template("instances.html", instances=page[0], next_cursor=page[1])


@bp.get("/instances/<instance_id>")
def show_tasks(instance_id: str) -> str:
    """Show an instance's tasks, live. `status` and `kind` in the query filter them."""
    status, kind = _read_status(request.args.get("status")), request.args.get("kind") or None
    limit = get_runtime().settings.page_size
    with _seeing() as sight:
        instance = sight.instance(check_instance_id(instance_id))
        tasks, more = sight.tasks(instance_id, limit=limit, status=status, kind=kind)
        state = {"tasks": tasks, "next_cursor": more, "since": _since(sight, instance_id)}
        agents, may = sight.agents(), sight.allowed(instance_id)
    chosen = {"status": status or "", "kind": kind or ""}
    return render_template(
        "tasks.html", instance=instance, agents=agents, statuses=TaskStatus, chosen=chosen, state=state, may=may
    )


@bp.get("/instances/<instance_id>/new")
def show_submission(instance_id: str) -> str:
    """Show the form to submit a task; `kind` in the query chooses the agent."""
    with _seeing() as sight:
        instance = sight.instance(check_instance_id(instance_id))
        agents = sight.agents()
        doubts = sight.doubts(agents)
    kinds = [agent["kind"] for agent in agents]
    kind = request.args.get("kind")
    return render_template(
        "submit.html",
        instance=instance,
        agents=agents,
        doubts=doubts,
        state={"agents": agents, "kind": kind if kind in kinds else _favourite(kinds)},
    )


@bp.get("/instances/<instance_id>/schedules")
def show_schedules(instance_id: str) -> str:
    """Show an instance's schedules."""
    limit, cursor = get_runtime().settings.page_size, request.args.get("cursor")
    with _seeing() as sight:
        instance = sight.instance(check_instance_id(instance_id))
        agents = sight.agents()
        doubts = sight.doubts(agents)
        schedules, more = sight.schedules(instance_id, limit=limit, cursor=cursor)
        since, may = _since(sight, instance_id), sight.allowed(instance_id)
    kind = _favourite([agent["kind"] for agent in agents])
    page = {"items": schedules, "next_cursor": more}
    state = {"agents": agents, "kind": kind, "schedules": page, "cursor": cursor, "since": since, "may": may}
    return render_template("schedules.html", instance=instance, agents=agents, doubts=doubts, state=state, may=may)


@bp.get("/instances/<instance_id>/audit")
def show_audit(instance_id: str) -> str:
    """Show who did what in an instance; `action` and `actor` in the query filter it."""
    chosen, wanted = _read_wanted()
    limit, cursor = get_runtime().settings.page_size, request.args.get("cursor")
    with _seeing() as sight:
        instance = sight.instance(check_instance_id(instance_id))
        entries, more = sight.audit(instance_id, wanted, limit=limit, cursor=cursor)
        may = sight.allowed(instance_id)
    return render_template("audit.html", instance=instance, entries=entries, chosen=chosen, next_cursor=more, may=may)


@bp.get("/audit")
def show_system_audit() -> str:
    """Show who did what to what is in no instance; `action` and `actor` in the query filter it."""
    chosen, wanted = _read_wanted()
    limit, cursor = get_runtime().settings.page_size, request.args.get("cursor")
    with _seeing() as sight:
        entries, more = sight.system_audit(wanted, limit=limit, cursor=cursor)
    return render_template("audit.html", instance=None, entries=entries, chosen=chosen, next_cursor=more)


@bp.get("/instances/<instance_id>/settings")
def show_settings(instance_id: str) -> str:
    """Show who is a member of an instance, its front ends' tokens, its policy, and how to copy and delete it."""
    with _seeing() as sight:
        instance = sight.instance(check_instance_id(instance_id))
        entered = instance_settings.enter(sight, instance_id)
    state = instance_settings.gather(act(), entered)
    return render_template("settings.html", instance=instance, state=state, may=entered["may"])


@bp.get("/tasks/<task_id>")
def show_task(task_id: str) -> str:
    """Show one task with its steps, live."""
    with _seeing() as sight:
        task = sight.task(check_task_id(task_id))
        instance = sight.instance(task["instance_id"])
        task_with_steps = {**task, "steps": sight.steps(task["id"])}
        since, may = _since(sight, task["instance_id"]), sight.allowed(task["instance_id"])
        known = {agent["kind"]: agent["title"] for agent in sight.agents()}
    return render_template(
        "task.html",
        instance=instance,
        task=task,
        agent_title=known.get(task["kind"], task["kind"]),
        state={"task": task_with_steps, "since": since, "terminal": sorted(TERMINAL), "may": may},
    )


@bp.get("/account")
def show_account() -> str:
    """Show who the caller is, with their tokens and their password."""
    with _seeing() as sight:
        require_outside(sight.actor, Act.KEEP_OWN_TOKENS)
    return render_template("account.html", me=get_caller().actor, tokens=list_own(act()))


@bp.get("/agents")
def show_agents() -> str:
    """List the agents and what they take."""
    with _seeing() as sight:
        return render_template("agents.html", agents=sight.agents())


@bp.get("/clients/javascript/<path:name>")
def serve_client(name: str) -> Response:
    """Serve the JavaScript client classes."""
    if not name.endswith(".js"):
        abort(404)
    return send_from_directory(_CLIENTS, name, mimetype="text/javascript")


@bp.get("/docs/websocket_client_example.html")
def serve_example() -> Response:
    """Serve the example page. In the repository it reaches its script by a relative path, here by the static one."""
    page = _EXAMPLE.read_text(encoding="utf-8")
    return Response(_STATIC_PATH.sub(lambda found: url_for("static", filename=found[1]), page), mimetype="text/html")


@bp.get("/favicon.ico")
def serve_icon() -> Response:
    """Serve the icon to browsers that ask without having read the page."""
    return send_from_directory(Path(__file__).parents[1] / "static", "swallowtail.svg", mimetype="image/svg+xml")


#: Whoever comes too often is told so in the same way everywhere.
bp.register_error_handler(TooFast, answer_domain_error)


@bp.errorhandler(SwallowtailError)
def refuse(error: SwallowtailError) -> Any:
    """Answer a refusal: with the way to sign in, or with a page."""
    return invite(error, show_error) if isinstance(error, Unauthenticated) else show_error(error)


def show_error(error: SwallowtailError) -> tuple[str, int]:
    """Show a refusal as a page. An address that cannot exist is as unknown as one that does not."""
    if isinstance(error, NotFound | InvalidInput):
        return render_template("error.html", title="There is no such page", message=error.message), 404
    if isinstance(error, Unauthenticated):
        return render_template("error.html", title="Say who you are", message=error.message), 401
    if isinstance(error, Forbidden):
        return render_template("error.html", title="You may not see this", message=error.message), 403
    status = 503 if isinstance(error, Unavailable) else 500
    return render_template("error.html", title="This does not work right now", message=error.message), status


def _read_wanted() -> tuple[dict[str, str], Wanted]:
    """Return what the query asks for in an audit log, as text and as `list_entries` takes it."""
    chosen = {name: request.args.get(name, "").strip() for name in ("action", "actor")}
    return chosen, Wanted(action=chosen["action"] or None, actor=chosen["actor"] or None)


def _read_status(value: str | None) -> TaskStatus | None:
    try:
        return TaskStatus(value) if value else None
    except ValueError as fault:
        raise InvalidInput("there is no such status", field="status") from fault


@contextmanager
def _seeing() -> Iterator[Sight]:
    """Give what the caller may see, if they are somebody to show pages to."""
    if get_caller().actor.kind == "front_end":
        raise Forbidden("this token is for a front end of its own; the pages are for people")
    with seeing() as sight:
        yield sight


def _since(sight: Sight, instance_id: str) -> dict[str, Any]:
    head = sight.head(instance_id)
    return {"epoch": head.epoch, "seq": head.seq}


def _favourite(kinds: list[str]) -> str:
    """The agent that a form begins with."""
    return "social_campaign" if "social_campaign" in kinds else next(iter(kinds), "")
