"""Stop 1 of 12: REST endpoints of tasks and their steps; they call `core/services/tasks`."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response, request

from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import NewTask, StepView, TaskView
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.tasks import ActionResult
from swallowtail.app.core.validation import check_instance_id, check_line, check_task_id
from swallowtail.app.web.api.reads import choose_limit, open_reader, write_page
from swallowtail.app.web.api.schemas.requests import Retry, SubmissionHeaders, TaskQuery
from swallowtail.app.web.api.schemas.responses import StepList, TaskOutcome, TaskPage, response
from swallowtail.app.web.request.current_caller import act, get_read, read_with_caller
from swallowtail.app.web.request.json_body import write_json
from swallowtail.app.web.request.permission_order import leave_to_service, permission_first

_TAG = {"name": "Tasks", "description": "Pieces of work, and their steps."}

bp = APIBlueprint("tasks", __name__, tag=_TAG, url_prefix="/api/v1")


@bp.get("/instances/<instance_id>/tasks")
@bp.input(TaskQuery, location="query", arg_name="query")
@bp.output(TaskPage)
def list_tasks(instance_id: str, query: TaskQuery) -> Response:
    """List an instance's tasks

    The latest tasks first, without inputs and results; a single task includes them. Tasks that are submitted meanwhile
    do not shift the following pages.
    """
    instance_id, limit = check_instance_id(instance_id), choose_limit(query.limit)
    kind = None if query.kind is None else check_line(query.kind, "kind", longest=100)
    with open_reader() as reader:
        page = reader.tasks(
            instance_id,
            limit=limit,
            cursor=query.cursor,
            status=query.status,
            kind=kind,
            since=query.since,
            until=query.until,
            text=query.text,
        )
    return write_page(*page)


@bp.post("/instances/<instance_id>/tasks")
@permission_first(Act.SUBMIT)
@bp.input(SubmissionHeaders, location="headers", arg_name="headers")
@bp.input(NewTask, arg_name="body", example={"kind": "echo", "input": {"message": "Hello"}})
@bp.output(response(TaskOutcome), status_code=201, description="Stored; `Location` is its URL")
@bp.doc(responses={200: "This `Idempotency-Key` was used before: the existing task", 409: "Conflict"})
def submit_task(instance_id: str, headers: SubmissionHeaders, body: NewTask) -> Response:
    """Submit a task

    The task is stored before the response is sent, and runs even if this server, Redis or a worker fails. Send an
    `Idempotency-Key` to repeat the request safely after a lost response.
    """
    leave_to_service()
    context, key = act(), headers.idempotency_key
    outcome = task_service.submit(context, instance_id, body, idempotency_key=key, basis=get_read())
    location = {"Location": f"/api/v1/tasks/{outcome.task['id']}"}
    return _write_outcome(outcome, 201 if outcome.created else 200, location)


@read_with_caller("tasks.submit_task")
def _read_basis(session: Any, runtime: Runtime, body: dict[str, Any]) -> Any:
    instance_id = (request.view_args or {})["instance_id"]
    return task_service.find_basis(session, runtime, instance_id, body.get("kind"), body.get("input"))


@bp.get("/tasks/<task_id>")
@bp.output(response(TaskView))
def show_task(task_id: str) -> Response:
    """Show a task"""
    with open_reader() as reader:
        return write_json(reader.task(check_task_id(task_id)))


@bp.get("/tasks/<task_id>/steps")
@bp.output(StepList)
def list_steps(task_id: str) -> Response:
    """List a task's steps

    Without outputs. A single step includes its output.
    """
    with open_reader() as reader:
        return write_page(reader.steps(check_task_id(task_id)))


@bp.get("/tasks/<task_id>/steps/<step_id>")
@bp.output(response(StepView))
def show_step(task_id: str, step_id: str) -> Response:
    """Show a step, with its output"""
    with open_reader() as reader:
        return write_json(reader.step(check_task_id(task_id), check_task_id(step_id, "step_id")))


@bp.post("/tasks/<task_id>/cancel")
@bp.output(response(TaskOutcome))
@bp.doc(responses=[409])
def cancel_task(task_id: str) -> Response:
    """Cancel a task

    A task that has not started is CANCELLED in the response. A running task has `cancel_requested` and becomes
    CANCELLED once its run stops. Idempotent.
    """
    return _write_outcome(task_service.cancel(act(), task_id))


@bp.post("/tasks/<task_id>/retry")
@permission_first(Act.RETRY)
@bp.input(Retry, arg_name="body", example={"from_step": "draft:x:1"})
@bp.output(response(TaskOutcome))
@bp.doc(responses=[409])
def retry_task(task_id: str, body: Retry) -> Response:
    """Retry a task that failed, was cancelled or expired

    Starts a new attempt that keeps the finished steps, or those before `from_step`. The body is optional.
    """
    return _write_outcome(task_service.retry(act(), task_id, body.from_step))


def _write_outcome(outcome: ActionResult, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = TaskOutcome(task=outcome.task, seq=outcome.seq, epoch=outcome.epoch)
    if outcome.warnings:
        body["warnings"] = list(outcome.warnings)
    return write_json(body, status, headers)
