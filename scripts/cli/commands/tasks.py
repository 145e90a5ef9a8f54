"""The commands about tasks: submit, list, show, cancel, retry. Each calls the same action as the REST resource does."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.ledger.agent_cards import find_card
from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.queries.views import view_agent
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import TaskSummary, TaskView
from swallowtail.app.core.security.permissions import Act, require_outside
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.tasks import Outcome, Submission
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.validation import check_instance_id, check_line, check_task_id
from swallowtail.scripts.cli.commands.watch import follow
from swallowtail.scripts.cli.exit_codes import ExitCode
from swallowtail.scripts.cli.open_runtime import open_domain
from swallowtail.scripts.cli.options import AsJson, Follow, Input, InstanceId, Set, WithLive
from swallowtail.scripts.cli.printing import print_json, print_task, print_tasks, tell
from swallowtail.scripts.cli.task_input import build_input, parse_duration

TaskId = Annotated[str, typer.Argument(metavar="TASK", help="Id of the task.")]

#: How long the command waits to see that its task was handed to the broker before it says that it was not.
SENT_WITHIN = 1.0


def enqueue(
    kind: Annotated[str, typer.Argument(help="Kind of the agent; `swallowtail agents` lists them.")],
    instance: InstanceId,
    source: Input = None,
    values: Set = None,
    title: Annotated[str | None, typer.Option(help="Title; the agent's own when left out.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: the same key gives the same task.")] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Give up unless a worker takes it within, such as 15m.")
    ] = None,
    go_on: Follow = False,
    as_json: AsJson = False,
    live: WithLive = False,
) -> None:
    """Submit a task."""
    with open_domain() as runtime:
        expiry = None if expires_in is None else parse_duration(expires_in, "--expires-in")
        given = read_input(runtime, kind, source, values)
        wanted = Submission(instance, kind, given, title, key, expiry, submitted_by="cli")
        outcome = task_service.submit(runtime, wanted)
        # A task that was there before is told from its beginning.
        after = outcome.seq - 1 if outcome.created else None
        code = _conclude(runtime, outcome, after, go_on=go_on, as_json=as_json, live=live)
    raise typer.Exit(code)


def show_tasks(
    instance: Annotated[str, typer.Argument(help="Instance whose tasks to list.")],
    status: Annotated[str | None, typer.Option(help="Only tasks with this status.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only tasks of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most tasks to list, the latest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List an instance's tasks, the latest first."""
    check_instance_id(instance, "INSTANCE")
    with open_domain() as runtime:
        tasks = _read_pages(runtime, instance, _status(status), kind, limit)
    if as_json:
        for task in tasks:
            print_json(task)
    else:
        print_tasks(tasks)


def show(task: TaskId, as_json: AsJson = False) -> None:
    """Show a task with its steps and its result."""
    task_id = check_task_id(task, "TASK")
    with open_domain() as runtime, runtime.db.read() as session:
        sight = Sight(session, runtime.caller.actor)
        found, steps = sight.task(task_id), sight.steps(task_id)
        whole = [sight.step(task_id, step["step_id"]) for step in steps] if as_json else []
    if as_json:
        print_json({**found, "steps": whole})
    else:
        print_task(found, steps)


def cancel(task: TaskId, go_on: Follow = False, as_json: AsJson = False, live: WithLive = False) -> None:
    """Cancel a task: at once if it has not started, otherwise as soon as its run notices."""
    with open_domain() as runtime:
        outcome = task_service.cancel(runtime, check_task_id(task, "TASK"))
        code = _conclude(runtime, outcome, outcome.seq - 1, go_on=go_on, as_json=as_json, live=live)
    raise typer.Exit(code)


def retry(
    task: TaskId,
    from_step: Annotated[
        str | None, typer.Option(metavar="KEY", help="Repeat from this step on; finished steps before it are kept.")
    ] = None,
    go_on: Follow = False,
    as_json: AsJson = False,
    live: WithLive = False,
) -> None:
    """Give an ended task another attempt that keeps its finished steps."""
    with open_domain() as runtime:
        outcome = task_service.retry(runtime, check_task_id(task, "TASK"), from_step)
        code = _conclude(runtime, outcome, outcome.seq - 1, go_on=go_on, as_json=as_json, live=live)
    raise typer.Exit(code)


def read_input(runtime: Runtime, kind: str, source: str | None, values: list[str] | None) -> dict[str, Any]:
    """Return the input that the options describe for an agent of this kind."""
    with runtime.db.read() as session:
        require_outside(runtime.caller.actor, Act.READ_AGENTS)
        card = view_agent(find_card(session, check_line(kind, "KIND", longest=100)))
    return build_input(card, source, values or [], runtime.settings.max_body_bytes)


def _conclude(
    runtime: Runtime, outcome: Outcome, after: int | None, *, go_on: bool, as_json: bool, live: bool
) -> ExitCode:
    """Say what became of it, or follow the task from its events after `after` to its end."""
    task = outcome.task
    for warning in outcome.warnings:
        tell(f"Mind: {warning['message']}.")
    if task["status"] in (TaskStatus.SUBMITTED, TaskStatus.RETRYING):
        task = _see_sent(runtime, task)
    if go_on:
        return follow(runtime, task["instance_id"], after, task["id"], as_json=as_json, live=live)
    if as_json:
        told = {"task": task, "seq": outcome.seq, "epoch": outcome.epoch, "created": outcome.created}
        print_json(told | {"warnings": outcome.warnings} if outcome.warnings else told)
    else:
        print(task["id"])
        tell(f"{task['title']}: {task['status']}. To follow it:")
        tell(f"  swallowtail watch {task['instance_id']} --task {task['id']}")
    return ExitCode.OK


def _see_sent(runtime: Runtime, task: TaskView) -> TaskView:
    """Look whether the broker got the task, and say so if not. Patiently: another process may just be sending it."""
    waiting = task["status"]
    until = time.monotonic() + SENT_WITHIN
    while task["status"] == waiting and time.monotonic() < until:
        with runtime.db.read() as session:
            task = Sight(session, runtime.caller.actor).task(task["id"])
        time.sleep(0.02)
    if task["status"] == waiting:
        tell("Stored. The broker is away: the task will be sent as soon as it is back.")
    return task


def _read_pages(
    runtime: Runtime, instance: str, status: TaskStatus | None, kind: str | None, limit: int
) -> list[TaskSummary]:
    found: list[TaskSummary] = []
    cursor = None
    while len(found) < limit:
        size = min(limit - len(found), runtime.settings.max_page_size)
        with runtime.db.read() as session:
            sight = Sight(session, runtime.caller.actor)
            page, cursor = sight.tasks(instance, limit=size, cursor=cursor, status=status, kind=kind)
        found += page
        if cursor is None:
            break
    return found


def _status(text: str | None) -> TaskStatus | None:
    try:
        return None if text is None else TaskStatus(text.upper())
    except ValueError:
        raise InvalidInput(f"must be one of {', '.join(TaskStatus)}", field="--status") from None
