"""Commands that change tasks, one or many: `cancel` and `retry`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from swallowtail.app.core.errors import InvalidInput, SwallowtailError
from swallowtail.app.core.states import ACTIVE, TaskStatus
from swallowtail.client.errors import ApiError
from swallowtail.scripts.cli.commands.tasks import Status, conclude
from swallowtail.scripts.cli.exit_codes import ExitCode, code_of
from swallowtail.scripts.cli.options import AsJson, Follow, Kind, WithLive, Yes
from swallowtail.scripts.cli.output.printing import count, print_json, print_note
from swallowtail.scripts.cli.remote.error_messages import translate
from swallowtail.scripts.cli.remote.open_client import open_client

if TYPE_CHECKING:
    from swallowtail.client import Client, Submission

Tasks = Annotated[list[str] | None, typer.Argument(metavar="TASK", help="Ids of the tasks.")]
OfInstance = Annotated[
    str | None,
    typer.Option("--instance", "-i", metavar="INSTANCE", help="All tasks of this instance that the filters select."),
]


@dataclass(frozen=True)
class Selection:
    """The tasks of a command: their ids, or filters."""

    ids: list[str]
    instance: str | None
    status: TaskStatus | None
    kind: str | None


def cancel(
    tasks: Tasks = None,
    instance: OfInstance = None,
    status: Status = None,
    kind: Kind = None,
    yes: Yes = False,
    follow_task: Follow = False,
    as_json: AsJson = False,
    live: WithLive = False,
) -> None:
    """Cancel tasks. A task ends at once if it has not started, otherwise as soon as its run reacts.

    With --instance, all its tasks that have not ended, or those that --status and --kind select.
    """
    selection = Selection(tasks or [], instance, status, kind)
    with open_client() as client:
        if len(selection.ids) == 1 and instance is None:
            outcome = client.cancel(selection.ids[0])
            code = conclude(client, outcome, outcome.seq - 1, follow_task=follow_task, as_json=as_json, live=live)
        else:
            _refuse_follow(follow_task)
            ids = _select(client, selection, ACTIVE)
            is_confirmed = _confirm("cancel", selection, len(ids), yes=yes)
            code = _change_all(client.cancel, ids, "Cancelled", as_json) if is_confirmed else ExitCode.OK
    raise typer.Exit(code)


def retry(
    tasks: Tasks = None,
    instance: OfInstance = None,
    status: Status = None,
    kind: Kind = None,
    from_step: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Repeat from this step on; only finished steps before it are kept."),
    ] = None,
    yes: Yes = False,
    follow_task: Follow = False,
    as_json: AsJson = False,
    live: WithLive = False,
) -> None:
    """Start another attempt of ended tasks. Finished steps are kept.

    With --instance, all its FAILED tasks, or those that --status and --kind select.
    """
    selection = Selection(tasks or [], instance, status, kind)
    with open_client() as client:
        if len(selection.ids) == 1 and instance is None:
            outcome = client.retry(selection.ids[0], from_step)
            code = conclude(client, outcome, outcome.seq - 1, follow_task=follow_task, as_json=as_json, live=live)
        else:
            _refuse_follow(follow_task)
            ids = _select(client, selection, frozenset({TaskStatus.FAILED}))
            is_confirmed = _confirm("retry", selection, len(ids), yes=yes)
            change = lambda task_id: client.retry(task_id, from_step)  # noqa: E731
            code = _change_all(change, ids, "Retried", as_json) if is_confirmed else ExitCode.OK
    raise typer.Exit(code)


def _refuse_follow(follow_task: bool) -> None:
    if follow_task:
        raise InvalidInput("needs exactly one TASK", field="--follow")


def _select(client: Client, selection: Selection, default: frozenset[TaskStatus]) -> list[str]:
    """Return the ids of the tasks, the earliest first for filters. Raises InvalidInput."""
    if selection.ids:
        if selection.instance or selection.status or selection.kind:
            raise InvalidInput("cannot be combined with --instance, --status and --kind", field="TASK")
        return selection.ids
    if selection.instance is None:
        raise InvalidInput("TASK or --instance is required", field="TASK")
    statuses = sorted(default) if selection.status is None else [selection.status]
    matching = [
        task for status in statuses for task in client.tasks(selection.instance, status=status, kind=selection.kind)
    ]
    return [task.id for task in sorted(matching, key=lambda task: task.created_at)]


def _confirm(verb: str, selection: Selection, number: int, *, yes: bool) -> bool:
    """Return whether to change the tasks that filters selected; the user confirms it. Raises InvalidInput."""
    if selection.ids or yes or not number:
        return True
    question = f"{verb.capitalize()} {count(number, 'task')} of {selection.instance}?"
    if not sys.stdin.isatty():
        raise InvalidInput(f"{verb}s {count(number, 'task')}; confirm it with --yes", field="--instance")
    return typer.confirm(question, err=True)


def _change_all(change: Callable[[str], Submission], ids: list[str], done: str, as_json: bool) -> ExitCode:
    """Change one task after another, print each outcome and a summary, and return the code of the first failure."""
    code, failures = ExitCode.OK, 0
    for task_id in ids:
        try:
            outcome = change(task_id)
        except ApiError as refusal:
            failures += 1
            error = translate(refusal)
            code = code if code is not ExitCode.OK else code_of(error)
            _print_failure(task_id, error, as_json)
            continue
        if as_json:
            print_json(outcome.raw)
        else:
            print(f"{task_id} {outcome.task.status}")
    print_note(f"{done} {count(len(ids) - failures, 'task')}{f'; {failures} failed' if failures else ''}.")
    return code


def _print_failure(task_id: str, error: SwallowtailError, as_json: bool) -> None:
    if as_json:
        print_json({"task_id": task_id, "error": error.as_dict()})
    else:
        print_note(f"{task_id}: {error.message}")
