"""Following: `watch`, and `--follow` of the commands that set a task going. The events are read by `core/services/follower`."""

from __future__ import annotations

from typing import Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import TaskSummary
from swallowtail.app.core.services.follower import Follower, Live, Reset
from swallowtail.app.core.states import ACTIVE, TaskStatus
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.scripts.cli.exit_codes import ExitCode, code_of_status
from swallowtail.scripts.cli.live_display import Screen
from swallowtail.scripts.cli.open_runtime import open_domain
from swallowtail.scripts.cli.options import LARGEST, AsJson, WithLive
from swallowtail.scripts.cli.printing import console, print_end, print_json, tell


def watch(
    instance: Annotated[str, typer.Argument(help="Instance to watch.")],
    task: Annotated[str | None, typer.Option("--task", help="Only this task; ends when it has.")] = None,
    since: Annotated[
        int | None,
        typer.Option("--since", max=LARGEST, help="Begin after the event with this number; 0 is the first."),
    ] = None,
    as_json: AsJson = False,
    live: WithLive = False,
) -> None:
    """Show what happens in an instance, as it happens, until Ctrl-C."""
    check_instance_id(instance, "INSTANCE")
    task_id = None if task is None else check_task_id(task, "--task")
    if since is not None and since < 0:
        raise InvalidInput("this is not the number of an event", field="--since")
    with open_domain() as runtime:
        if task_id is None and since is None:
            since = _present(runtime, instance)
        raise typer.Exit(follow(runtime, instance, since, task_id, as_json=as_json, live=live))


def follow(
    runtime: Runtime, instance_id: str, after: int | None, task_id: str | None, *, as_json: bool, live: bool
) -> ExitCode:
    """Show events after `after` (None: all that are stored) and return how the followed task ended."""
    follower = Follower(runtime, instance_id, after=after, task_id=task_id)
    try:
        if as_json:
            _print_lines(follower, live)
        else:
            _show(runtime, follower, instance_id, task_id)
    except KeyboardInterrupt:
        _tell_how_to_go_on(follower, instance_id, task_id)
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
    with Screen(console()) as screen:
        for task in _at_work(runtime, instance_id, task_id):
            screen.know(task)
        for item in follower.items():
            if isinstance(item, Reset):
                screen.note(f"The log does not go on from there ({item.reason}); showing what there is.")
                continue
            about = item.payload["task_id"] if isinstance(item, Live) else item.task_id
            if not screen.knows(about):
                with runtime.db.read() as session:
                    screen.know(Sight(session, runtime.caller.actor).task(about))
            if isinstance(item, Live):
                screen.show_live(item.payload)
            else:
                screen.show(item)


def _at_work(runtime: Runtime, instance_id: str, task_id: str | None) -> list[TaskSummary]:
    """The tasks whose bars are shown from the beginning."""
    with runtime.db.read() as session:
        sight = Sight(session, runtime.caller.actor)
        if task_id is not None:
            return [sight.task(task_id)]
        latest, _ = sight.tasks(instance_id, limit=runtime.settings.page_size)
    return [task for task in latest if TaskStatus(task["status"]) in ACTIVE]


def _present(runtime: Runtime, instance_id: str) -> int:
    with runtime.db.read() as session:
        return Sight(session, runtime.caller.actor).head(instance_id).seq


def _tell_how_to_go_on(follower: Follower, instance_id: str, task_id: str | None) -> None:
    about = "" if task_id is None else f" --task {task_id}"
    what = "Stopped watching" if task_id is None else "Stopped watching; the task goes on"
    tell(f"{what}. To go on from here: swallowtail watch {instance_id}{about} --since {follower.cursor}")
