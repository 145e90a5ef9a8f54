"""Commands for schedules: `swallowtail schedule add`, `list`, `slots`, `pause`, `resume` and `remove`."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.schemas.schedules import NewSchedule, ScheduleView
from swallowtail.app.core.services import schedules as schedule_service
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.validation import check_task_id
from swallowtail.scripts.cli.commands.tasks import read_input
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.open_runtime import open_runtime
from swallowtail.scripts.cli.options import AsJson, Input, Instance, InstanceId, Set
from swallowtail.scripts.cli.printing import print_list, print_note, print_result, print_schedules, print_slots, when
from swallowtail.scripts.cli.reads import open_reads, read_pages
from swallowtail.scripts.cli.task_input import parse_duration

commands = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Submit tasks repeatedly or at a later time.")

ScheduleId = Annotated[
    str,
    typer.Argument(
        metavar="SCHEDULE", help="Id of the schedule.", callback=lambda value: check_task_id(value, "SCHEDULE")
    ),
]


@commands.command("add")
def add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name, unique in the instance; also the title of its tasks.")
    ],
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Kind of the agent.")],
    instance: InstanceId,
    cron: Annotated[
        str | None, typer.Option(metavar="CRON", help='Cron expression with five fields, such as "30 9 * * MON-FRI".')
    ] = None,
    every: Annotated[str | None, typer.Option(metavar="DURATION", help="Interval, such as 90s, 15m or 1d.")] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="Once at this time, such as 2030-01-31T08:00:00Z.")
    ] = None,
    timezone: Annotated[str, typer.Option(metavar="ZONE", help="IANA time zone of --cron.")] = "UTC",
    catch_up: Annotated[
        str, typer.Option(metavar="RULE", help="Which missed slots to run: skip, latest or all.")
    ] = "latest",
    overlap: Annotated[
        str, typer.Option(metavar="RULE", help="While the previous task is running: allow or skip.")
    ] = "allow",
    source: Input = None,
    values: Set = None,
    as_json: AsJson = False,
) -> None:
    """Add a schedule, with exactly one of --cron, --every and --at."""
    with open_runtime() as runtime:
        new = NewSchedule(
            name=name,
            kind=kind,
            input=read_input(runtime, kind, source, values),
            cron=cron,
            interval_seconds=None if every is None else parse_duration(every, "--every"),
            run_at=None if at is None else _parse_time(at),
            timezone=timezone,
            catch_up=catch_up,  # type: ignore[arg-type] # the schema checks it
            overlap=overlap,  # type: ignore[arg-type]
        )
        added = schedule_service.add_schedule(runtime, instance, new)
        for warning in task_service.find_warnings(runtime, added["kind"]):
            print_note(f"Warning: {warning['message']}.")
        _print(added, as_json)


@commands.command("list")
def show_schedules(instance: Instance, as_json: AsJson = False) -> None:
    """List an instance's schedules by name."""
    with open_reads() as reads:
        print_list(read_pages(partial(reads.schedules, instance)), as_json, print_schedules)


@commands.command("slots")
def show_slots(
    schedule: ScheduleId,
    limit: Annotated[int, typer.Option(min=1, max=10_000, metavar="NUMBER", help="Maximum number of slots.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List a schedule's slots and their outcomes, latest first."""
    with open_reads() as reads:
        print_list(reads.slots(schedule, limit), as_json, print_slots)


@commands.command("pause")
def pause(schedule: ScheduleId, as_json: AsJson = False) -> None:
    """Pause a schedule until it is resumed."""
    with open_runtime() as runtime:
        _print(schedule_service.pause_schedule(runtime, schedule), as_json)


@commands.command("resume")
def resume(schedule: ScheduleId, as_json: AsJson = False) -> None:
    """Resume a schedule with its next slot."""
    with open_runtime() as runtime:
        _print(schedule_service.resume_schedule(runtime, schedule), as_json)


@commands.command("remove")
def remove(schedule: ScheduleId) -> None:
    """Delete a schedule; the tasks that it submitted stay."""
    with open_runtime() as runtime:
        schedule_service.remove_schedule(runtime, schedule)
    print_note("Removed.")


def _print(schedule: ScheduleView, as_json: bool) -> None:
    due = f"next at {when(schedule['next_slot_at'])}" if schedule["next_slot_at"] else "done"
    print_result(schedule, f"{schedule['name']}: {'paused' if schedule['paused'] else due}", as_json)


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("must be a time such as 2030-01-31T08:00:00Z", field="--at") from None
