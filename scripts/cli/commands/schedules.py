"""The commands about schedules: `swallowtail schedule add`, `list`, `slots`, `pause`, `resume`, `remove`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.schemas.schedules import ScheduleView
from swallowtail.app.core.services import schedules as schedule_service
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.schedules import NewSchedule
from swallowtail.app.core.validation import check_instance_id, check_task_id
from swallowtail.scripts.cli.commands.tasks import read_input
from swallowtail.scripts.cli.exit_codes import Commands
from swallowtail.scripts.cli.open_runtime import open_domain
from swallowtail.scripts.cli.options import AsJson, Input, InstanceId, Set
from swallowtail.scripts.cli.printing import print_json, print_schedules, print_slots, tell, when
from swallowtail.scripts.cli.task_input import parse_duration

schedules = typer.Typer(cls=Commands, no_args_is_help=True, help="Submit tasks again and again, or later.")

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Id of the schedule.")]


@schedules.command("add")
def add(
    name: Annotated[str, typer.Argument(help="Name, unique in the instance; the tasks get it as their title.")],
    kind: Annotated[str, typer.Argument(help="Kind of the agent.")],
    instance: InstanceId,
    cron: Annotated[str | None, typer.Option(help='Five fields, such as "30 9 * * MON-FRI".')] = None,
    every: Annotated[str | None, typer.Option(metavar="DURATION", help="Interval, such as 90s, 15m or 1d.")] = None,
    at: Annotated[str | None, typer.Option(metavar="MOMENT", help="Once, such as 2030-01-31T08:00:00Z.")] = None,
    timezone: Annotated[str, typer.Option(help="IANA name of the clock that --cron is read from.")] = "UTC",
    catch_up: Annotated[str, typer.Option(help="Missed slots: skip, latest or all.")] = "latest",
    overlap: Annotated[str, typer.Option(help="While the last task is at work: allow or skip.")] = "allow",
    source: Input = None,
    values: Set = None,
    as_json: AsJson = False,
) -> None:
    """Add a schedule, with exactly one of --cron, --every and --at."""
    with open_domain() as runtime:
        wanted = NewSchedule(
            instance_id=instance,
            name=name,
            kind=kind,
            input=read_input(runtime, kind, source, values),
            cron=cron,
            interval_seconds=None if every is None else parse_duration(every, "--every"),
            run_at=None if at is None else _parse_moment(at),
            timezone=timezone,
            catch_up=catch_up,  # type: ignore[arg-type] # planning checks it
            overlap=overlap,  # type: ignore[arg-type]
        )
        added = schedule_service.add_schedule(runtime, wanted)
        for warning in task_service.find_warnings(runtime, added["kind"]):
            tell(f"Mind: {warning['message']}.")
        _print(added, as_json)


@schedules.command("list")
def show_schedules(
    instance: Annotated[str, typer.Argument(help="Instance whose schedules to list.")], as_json: AsJson = False
) -> None:
    """List an instance's schedules by name."""
    check_instance_id(instance, "INSTANCE")
    with open_domain() as runtime, runtime.db.read() as session:
        sight, limit = Sight(session, runtime.caller.actor), runtime.settings.max_page_size
        found, more = sight.schedules(instance, limit=limit)
        while more is not None:
            page, more = sight.schedules(instance, limit=limit, cursor=more)
            found += page
    if as_json:
        for one in found:
            print_json(one)
    else:
        print_schedules(found)


@schedules.command("slots")
def show_slots(
    schedule: ScheduleId,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most slots to list.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List a schedule's slots, the latest first, and what came of each."""
    schedule_id = check_task_id(schedule, "SCHEDULE")
    with open_domain() as runtime, runtime.db.read() as session:
        found = Sight(session, runtime.caller.actor).slots(schedule_id, limit)
    if as_json:
        for one in found:
            print_json(one)
    else:
        print_slots(found)


@schedules.command("pause")
def pause(schedule: ScheduleId, as_json: AsJson = False) -> None:
    """Let no slot come until it is resumed."""
    with open_domain() as runtime:
        _print(schedule_service.pause_schedule(runtime, check_task_id(schedule, "SCHEDULE")), as_json)


@schedules.command("resume")
def resume(schedule: ScheduleId, as_json: AsJson = False) -> None:
    """Go on with the first slot from now."""
    with open_domain() as runtime:
        _print(schedule_service.resume_schedule(runtime, check_task_id(schedule, "SCHEDULE")), as_json)


@schedules.command("remove")
def remove(schedule: ScheduleId) -> None:
    """Forget a schedule; the tasks that it submitted stay."""
    with open_domain() as runtime:
        schedule_service.remove_schedule(runtime, check_task_id(schedule, "SCHEDULE"))
    tell("Removed.")


def _print(one: ScheduleView, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    print(one["id"])
    due = "paused" if one["paused"] else f"next at {when(one['next_slot_at'])}" if one["next_slot_at"] else "done"
    tell(f"{one['name']}: {due}")


def _parse_moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("give a moment such as 2030-01-31T08:00:00Z", field="--at") from None
