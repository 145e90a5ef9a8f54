"""Commands for tasks: `enqueue`, `list` and `show`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.states import TaskStatus
from swallowtail.client.errors import NotFound
from swallowtail.scripts.cli.commands.watch import follow
from swallowtail.scripts.cli.exit_codes import ExitCode
from swallowtail.scripts.cli.options import (
    AsJson,
    Follow,
    Input,
    Instance,
    InstanceId,
    Kind,
    Limit,
    Sample,
    Set,
    Since,
    TaskId,
    Until,
    WithLive,
)
from swallowtail.scripts.cli.output.printing import count, print_json, print_list, print_note
from swallowtail.scripts.cli.output.tables import print_tasks
from swallowtail.scripts.cli.output.task_report import print_task
from swallowtail.scripts.cli.remote.input_errors import explain_input
from swallowtail.scripts.cli.remote.open_client import open_client
from swallowtail.scripts.cli.remote.waiting import wait_until_sent
from swallowtail.scripts.cli.task_input import build_input, parse_duration, parse_past

if TYPE_CHECKING:
    from swallowtail.client import Client, Submission


def parse_status(text: str) -> TaskStatus:
    """Return a status in any case. Raises InvalidInput."""
    try:
        return TaskStatus(text.upper())
    except ValueError:
        statuses = ", ".join(status.value.lower() for status in TaskStatus)
        raise InvalidInput(f"must be one of {statuses}", field="--status") from None


Status = Annotated[
    TaskStatus | None,
    typer.Option("--status", parser=parse_status, metavar="STATUS", help="Only tasks with this status: failed, …"),
]


def enqueue(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Kind of the agent; `swallowtail agents` lists them.")],
    instance: InstanceId,
    source: Input = None,
    values: Set = None,
    sample: Sample = False,
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
    expiry = None if expires_in is None else parse_duration(expires_in, "--expires-in")
    with open_client() as client:
        task_input = read_input(client, kind, source, values, sample=sample)
        with explain_input(client, kind, source, values):
            outcome = client.submit(kind, task_input, instance=instance, title=title, key=key, expires_in=expiry)
        # A task that existed before is shown from its beginning.
        after = outcome.seq - 1 if outcome.created else None
        code = conclude(client, outcome, after, follow_task=follow_task, as_json=as_json, live=live)
    raise typer.Exit(code)


def show_tasks(
    instance: Instance,
    status: Status = None,
    kind: Kind = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Only tasks with this text in their title or kind.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List an instance's tasks, latest first."""
    earliest, latest = parse_past(since, "--since"), parse_past(until, "--until")
    with open_client() as client:
        matching = client.tasks(
            instance, status=status, kind=kind, since=earliest, until=latest, text=text, limit=limit
        )
        tasks = [task.raw for task in matching]
    print_list(tasks, as_json, print_tasks)
    if as_json:
        return
    if len(tasks) == limit:
        print_note(f"The latest {count(limit, 'task')}; --limit shows more.")
    reasons = [task["waiting"]["message"] for task in tasks if task.get("waiting")]
    for reason in dict.fromkeys(reasons):
        print_note(f"{count(reasons.count(reason), 'task')} waiting: {reason}")


def show(task: TaskId, as_json: AsJson = False) -> None:
    """Show a task with its steps and its result."""
    with open_client() as client:
        view, steps = client.get(task).raw, client.steps(task)
        complete = [client.step(task, step.step_id).raw for step in steps] if as_json else []
    if as_json:
        print_json({**view, "steps": complete})
    else:
        print_task(view, [step.raw for step in steps])


def read_input(
    client: Client, kind: str, source: str | None, values: list[str] | None, *, sample: bool = False
) -> dict[str, Any]:
    """Return the input that the options describe for an agent of this kind."""
    if source is None and not values and not sample:
        return {}
    try:
        return build_input(client.agent(kind), source, values or [], sample=sample)
    except NotFound:
        # The answer to the submission names the kinds that exist.
        return {}


def conclude(
    client: Client, outcome: Submission, after: int | None, *, follow_task: bool, as_json: bool, live: bool
) -> ExitCode:
    """Print the outcome, or follow the task from the events after `after` to its end."""
    for warning in outcome.warnings:
        print_note(f"Warning: {warning.message}.")
    task = wait_until_sent(client, outcome.task)
    if follow_task:
        return follow(client, task.instance_id, after, task.id, as_json=as_json, live=live)
    if as_json:
        print_json({"created": outcome.created, **outcome.raw, "task": task.raw})
    else:
        print(task.id)
        print_note(f"{task.title}: {task.status}. To follow it:")
        print_note(f"  swallowtail watch {task.instance_id} --task {task.id}")
    return ExitCode.OK
