"""Shows live events, for the command `watch` and the option `--follow`."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from swallowtail.app.core.states import ACTIVE, TaskStatus
from swallowtail.scripts.cli.exit_codes import ExitCode, code_of_status
from swallowtail.scripts.cli.options import AsJson, Instance, WithLive, check_count
from swallowtail.scripts.cli.output.printing import console, print_json, print_note
from swallowtail.scripts.cli.output.task_report import print_end
from swallowtail.scripts.cli.remote.open_client import open_client
from swallowtail.scripts.cli.remote.waiting import watch_reasons

if TYPE_CHECKING:
    from swallowtail.client import Client, Event, LiveUpdate, Reset

#: Running tasks that get a progress bar from the beginning.
_MOST_BARS = 20


def watch(
    instance: Instance,
    task: Annotated[
        str | None, typer.Option("--task", metavar="TASK", help="Only show this task, and exit when it ends.")
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
    with open_client() as client:
        raise typer.Exit(follow(client, instance, since, task, as_json=as_json, live=live))


def follow(
    client: Client, instance_id: str, after: int | None, task_id: str | None, *, as_json: bool, live: bool
) -> ExitCode:
    """Show events after `after` (None: from now on, or from the beginning of the task) until the task ends.

    Returns the exit code for the task's status, or that of Ctrl-C.
    """
    position = _Position(after)

    def report(reason: str | None) -> None:
        at = f"to {client.url}"
        print_note(f"Connected {at} again." if reason is None else f"No connection {at}: {reason}. Trying again.")

    is_live = live or not as_json
    try:
        with client.watch(instance_id, task=task_id, since=after, live=is_live, on_connection=report) as items:
            if as_json:
                _print_lines(items, position, live=live)
            else:
                _show(client, items, position, instance_id, task_id)
    except KeyboardInterrupt:
        _print_how_to_continue(position, instance_id, task_id)
        return ExitCode.INTERRUPTED
    task = client.get(str(task_id))
    if not as_json:
        print()
        print_end(task.raw)
    return code_of_status(task.status)


class _Position:
    """The number of the latest event that was printed."""

    def __init__(self, after: int | None) -> None:
        self.seq = after

    def advance(self, item: Event | LiveUpdate | Reset) -> None:
        """Go on to an event, or to the head after a reset."""
        self.seq = getattr(item, "seq", None) or getattr(item, "head", None) or self.seq


def _print_lines(items: Any, position: _Position, *, live: bool) -> None:
    from swallowtail.client import Event, Reset

    for item in items:
        if isinstance(item, Event):
            print_json(item.raw)
        elif isinstance(item, Reset):
            print_json({"type": "reset", "instance_id": item.instance_id, "epoch": item.epoch, "head": item.head})
        elif live:
            print_json(item.raw)
        position.advance(item)


def _show(client: Client, items: Any, position: _Position, instance_id: str, task_id: str | None) -> None:
    from swallowtail.client import Event, Reset
    from swallowtail.scripts.cli.output.live_display import LiveDisplay

    with LiveDisplay(console(), with_ids=task_id is None) as display, ExitStack() as stack:
        for task in _running_tasks(client, instance_id, task_id):
            display.add_task(task)
        if task_id is not None:
            stack.enter_context(watch_reasons(client, task_id, display.print_note))
        for item in items:
            if isinstance(item, Reset):
                display.print_note("Earlier events are not stored any more; showing what happens from now on.")
            else:
                if not display.has_task(item.task_id):
                    display.add_task(client.get(item.task_id).raw)
                if isinstance(item, Event):
                    display.show(item)
                else:
                    display.show_live(item)
            position.advance(item)


def _running_tasks(client: Client, instance_id: str, task_id: str | None) -> list[dict[str, Any]]:
    """Return the tasks that get a progress bar from the beginning."""
    if task_id is not None:
        return [client.get(task_id).raw]
    latest = [task.raw for task in client.tasks(instance_id, limit=_MOST_BARS)]
    return [task for task in latest if TaskStatus(task["status"]) in ACTIVE]


def _print_how_to_continue(position: _Position, instance_id: str, task_id: str | None) -> None:
    option = "" if task_id is None else f" --task {task_id}"
    since = "" if position.seq is None else f" --since {position.seq}"
    what = "Stopped watching" if task_id is None else "Stopped watching; the task continues"
    print_note(f"{what}. To continue from here: swallowtail watch {instance_id}{option}{since}")
