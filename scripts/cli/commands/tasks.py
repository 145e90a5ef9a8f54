"""Commands for tasks: `enqueue`, `list`, `show`, `cancel` and `retry`, by the same services as the REST API."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.ledger.agent_cards import find_card
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.queries.views import view_agent
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import NewTask, TaskView
from swallowtail.app.core.security.permissions import require_outside
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.tasks import ActionResult
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.validation import check_line
from swallowtail.scripts.cli.commands.watch import follow
from swallowtail.scripts.cli.exit_codes import ExitCode
from swallowtail.scripts.cli.open_runtime import open_runtime
from swallowtail.scripts.cli.options import AsJson, Follow, Input, Instance, InstanceId, Set, TaskId, WithLive
from swallowtail.scripts.cli.printing import print_json, print_list, print_note, print_task, print_tasks
from swallowtail.scripts.cli.reads import open_reads, read_pages
from swallowtail.scripts.cli.task_input import build_input, parse_duration

#: How long the command waits for its task to be sent to the broker before it reports that it was not, in seconds.
SENT_WITHIN = 1.0


def _parse_status(text: str) -> TaskStatus:
    try:
        return TaskStatus(text.upper())
    except ValueError:
        statuses = ", ".join(status.value.lower() for status in TaskStatus)
        raise InvalidInput(f"must be one of {statuses}", field="--status") from None


def enqueue(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Kind of the agent; `swallowtail agents` lists them.")],
    instance: InstanceId,
    source: Input = None,
    values: Set = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Title; that of the agent by default.")] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Idempotency key: a repeated submission with this key returns the same task."
        ),
    ] = None,
    expires_in: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Expire the task unless a worker starts it within this time, such as 15m."
        ),
    ] = None,
    follow_task: Follow = False,
    as_json: AsJson = False,
    live: WithLive = False,
) -> None:
    """Submit a task."""
    with open_runtime() as runtime:
        expiry = None if expires_in is None else parse_duration(expires_in, "--expires-in")
        task_input = read_input(runtime, kind, source, values)
        new = NewTask(kind=kind, input=task_input, title=title, expires_in=expiry)
        outcome = task_service.submit(runtime, instance, new, idempotency_key=key, submitted_by="cli")
        # A task that existed before is shown from its beginning.
        after = outcome.seq - 1 if outcome.created else None
        code = _conclude(runtime, outcome, after, follow_task=follow_task, as_json=as_json, live=live)
    raise typer.Exit(code)


def show_tasks(
    instance: Instance,
    status: Annotated[
        TaskStatus | None,
        typer.Option(parser=_parse_status, metavar="STATUS", help="Only tasks with this status, such as failed."),
    ] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Only tasks of this kind.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="NUMBER", help="Maximum number of tasks.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List an instance's tasks, latest first."""
    with open_reads() as reads:
        tasks = read_pages(partial(reads.tasks, instance, status=status, kind=kind), limit)
    print_list(tasks, as_json, print_tasks)


def show(task: TaskId, as_json: AsJson = False) -> None:
    """Show a task with its steps and its result."""
    with open_reads() as reads:
        view, steps = reads.task(task), reads.steps(task)
        complete = [reads.step(task, step["step_id"]) for step in steps] if as_json else []
    if as_json:
        print_json({**view, "steps": complete})
    else:
        print_task(view, steps)


def cancel(task: TaskId, follow_task: Follow = False, as_json: AsJson = False, live: WithLive = False) -> None:
    """Cancel a task. It ends at once if it has not started, otherwise as soon as its run reacts."""
    with open_runtime() as runtime:
        outcome = task_service.cancel(runtime, task)
        code = _conclude(runtime, outcome, outcome.seq - 1, follow_task=follow_task, as_json=as_json, live=live)
    raise typer.Exit(code)


def retry(
    task: TaskId,
    from_step: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Repeat from this step on; only finished steps before it are kept."),
    ] = None,
    follow_task: Follow = False,
    as_json: AsJson = False,
    live: WithLive = False,
) -> None:
    """Start another attempt of an ended task. Finished steps are kept."""
    with open_runtime() as runtime:
        outcome = task_service.retry(runtime, task, from_step)
        code = _conclude(runtime, outcome, outcome.seq - 1, follow_task=follow_task, as_json=as_json, live=live)
    raise typer.Exit(code)


def read_input(runtime: Runtime, kind: str, source: str | None, values: list[str] | None) -> dict[str, Any]:
    """Return the input that the options describe for an agent of this kind."""
    with runtime.db.read() as session:
        require_outside(runtime.caller.actor, Act.READ_AGENTS)
        card = view_agent(find_card(session, check_line(kind, "KIND", longest=100)))
    return build_input(card, source, values or [], runtime.settings.max_body_bytes)


def _conclude(
    runtime: Runtime, outcome: ActionResult, after: int | None, *, follow_task: bool, as_json: bool, live: bool
) -> ExitCode:
    """Print the outcome, or follow the task from the events after `after` to its end."""
    task = outcome.task
    for warning in outcome.warnings:
        print_note(f"Warning: {warning['message']}.")
    if task["status"] in (TaskStatus.SUBMITTED, TaskStatus.RETRYING):
        task = _wait_until_sent(runtime, task)
    if follow_task:
        return follow(runtime, task["instance_id"], after, task["id"], as_json=as_json, live=live)
    if as_json:
        answer = {"task": task, "seq": outcome.seq, "epoch": outcome.epoch, "created": outcome.created}
        print_json(answer | {"warnings": outcome.warnings} if outcome.warnings else answer)
    else:
        print(task["id"])
        print_note(f"{task['title']}: {task['status']}. To follow it:")
        print_note(f"  swallowtail watch {task['instance_id']} --task {task['id']}")
    return ExitCode.OK


def _wait_until_sent(runtime: Runtime, task: TaskView) -> TaskView:
    """Wait briefly until the task is sent to the broker, maybe by another process; report it if it is not."""
    waiting = task["status"]
    until = time.monotonic() + SENT_WITHIN
    while task["status"] == waiting and time.monotonic() < until:
        with runtime.db.read() as session:
            task = AuthorizedReads(session, runtime.caller.actor).task(task["id"])
        time.sleep(0.02)
    if task["status"] == waiting:
        print_note("Stored. The broker is unavailable: the task will be sent when it is back.")
    return task
