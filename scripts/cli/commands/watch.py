"""Shows live events, for the command `watch` and the option `--follow`."""

from __future__ import annotations

from typing import Annotated

import typer

from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import TaskSummary
from swallowtail.app.core.services.follower import Follower, LiveUpdate, Reset
from swallowtail.app.core.states import ACTIVE, TaskStatus
from swallowtail.app.core.validation import check_task_id
from swallowtail.scripts.cli.exit_codes import ExitCode, code_of_status
from swallowtail.scripts.cli.live_display import LiveDisplay
from swallowtail.scripts.cli.open_runtime import open_runtime
from swallowtail.scripts.cli.options import AsJson, Instance, WithLive, check_count
from swallowtail.scripts.cli.printing import console, print_end, print_json, print_note


def watch(
    instance: Instance,
    task: Annotated[
        str | None, typer.Option("--task", metavar="ID", help="Only show this task, and exit when it ends.")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            metavar="NUMBER",
            help="Begin after the event with this number; 0 begins with the first event.",
            callback=check_count,
        ),
    ] = None,
    as_json: AsJson = False,
    live: WithLive = False,
) -> None:
    """Show the events of an instance live, until Ctrl-C."""
    task_id = None if task is None else check_task_id(task, "--task")
    with open_runtime() as runtime:
        if task_id is None and since is None:
            since = _head(runtime, instance)
        raise typer.Exit(follow(runtime, instance, since, task_id, as_json=as_json, live=live))


def follow(
    runtime: Runtime, instance_id: str, after: int | None, task_id: str | None, *, as_json: bool, live: bool
) -> ExitCode:
    """Show events after `after` (None: all stored ones) and return the exit code for the task's status."""
    follower = Follower(runtime, instance_id, after=after, task_id=task_id)
    try:
        if as_json:
            _print_lines(follower, live)
        else:
            _show(runtime, follower, instance_id, task_id)
    except KeyboardInterrupt:
        _print_how_to_continue(follower, instance_id, task_id)
        return ExitCode.INTERRUPTED
    assert follower.task is not None
    if not as_json:
        print()
        print_end(follower.task)
    return code_of_status(follower.task["status"])


def _print_lines(follower: Follower, live: bool) -> None:
    for item in follower.items():
        if isinstance(item, EventRecord):
            print_json(item.wire())
        elif isinstance(item, Reset):
            print_json({"type": "reset", "instance_id": item.instance_id, "reason": item.reason})
        elif live:
            print_json(item.payload)


def _show(runtime: Runtime, follower: Follower, instance_id: str, task_id: str | None) -> None:
    with LiveDisplay(console()) as display:
        for task in _running_tasks(runtime, instance_id, task_id):
            display.add_task(task)
        for item in follower.items():
            if isinstance(item, Reset):
                display.print_note(
                    f"The log cannot be continued from there ({item.reason}); showing all stored events."
                )
                continue
            task_id_of_item = item.payload["task_id"] if isinstance(item, LiveUpdate) else item.task_id
            if not display.has_task(task_id_of_item):
                with runtime.db.read() as session:
                    display.add_task(AuthorizedReads(session, runtime.caller.actor).task(task_id_of_item))
            if isinstance(item, LiveUpdate):
                display.show_live(item.payload)
            else:
                display.show(item)


def _running_tasks(runtime: Runtime, instance_id: str, task_id: str | None) -> list[TaskSummary]:
    """Return the tasks that get a progress bar from the beginning."""
    with runtime.db.read() as session:
        reads = AuthorizedReads(session, runtime.caller.actor)
        if task_id is not None:
            return [reads.task(task_id)]
        latest, _ = reads.tasks(instance_id, limit=runtime.settings.page_size)
    return [task for task in latest if TaskStatus(task["status"]) in ACTIVE]


def _head(runtime: Runtime, instance_id: str) -> int:
    with runtime.db.read() as session:
        return AuthorizedReads(session, runtime.caller.actor).head(instance_id).seq


def _print_how_to_continue(follower: Follower, instance_id: str, task_id: str | None) -> None:
    option = "" if task_id is None else f" --task {task_id}"
    what = "Stopped watching" if task_id is None else "Stopped watching; the task continues"
    print_note(f"{what}. To continue from here: swallowtail watch {instance_id}{option} --since {follower.cursor}")
