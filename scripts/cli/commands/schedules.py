"""Commands for schedules: `swallowtail schedule add`, `list`, `slots`, `pause`, `resume` and `remove`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from swallowtail.app.core.errors import InvalidInput
from swallowtail.scripts.cli.commands.tasks import read_input
from swallowtail.scripts.cli.exit_codes import CommandGroup
from swallowtail.scripts.cli.options import AsJson, Input, Instance, InstanceId, Limit, Set
from swallowtail.scripts.cli.output.printing import Json, print_list, print_note, print_result, when
from swallowtail.scripts.cli.output.tables import print_schedules, print_slots
from swallowtail.scripts.cli.remote.input_errors import explain_input
from swallowtail.scripts.cli.remote.open_client import api_path, open_client
from swallowtail.scripts.cli.task_input import parse_duration, parse_time

if TYPE_CHECKING:
    from swallowtail.client import Client

commands = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Submit tasks repeatedly or at a later time.")

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Id of the schedule.")]


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
    schedule: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "cron": cron,
        "interval_seconds": None if every is None else parse_duration(every, "--every"),
        "run_at": None if at is None else parse_time(at, "--at"),
        "timezone": timezone,
        "catch_up": catch_up,
        "overlap": overlap,
    }
    with open_client() as client:
        added = _add(client, instance, schedule, source, values)
    for warning in added.pop("warnings", ()):
        print_note(f"Warning: {warning['message']}.")
    _print(added, as_json)


@commands.command("list")
def show_schedules(instance: Instance, as_json: AsJson = False) -> None:
    """List an instance's schedules by name."""
    with open_client() as client:
        listed = list(client.pages(api_path("instances", instance, "schedules")))
    print_list(listed, as_json, print_schedules)


@commands.command("slots")
def show_slots(
    schedule: ScheduleId,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List a schedule's slots and their outcomes, latest first."""
    with open_client() as client:
        listed = client.request("GET", api_path("schedules", schedule, "slots"), params={"limit": limit})["items"]
    print_list(listed, as_json, print_slots)


@commands.command("pause")
def pause(schedule: ScheduleId, as_json: AsJson = False) -> None:
    """Pause a schedule until it is resumed."""
    with open_client() as client:
        _print(client.request("POST", api_path("schedules", schedule, "pause")), as_json)


@commands.command("resume")
def resume(schedule: ScheduleId, as_json: AsJson = False) -> None:
    """Resume a schedule with its next slot."""
    with open_client() as client:
        _print(client.request("POST", api_path("schedules", schedule, "resume")), as_json)


@commands.command("remove")
def remove(schedule: ScheduleId) -> None:
    """Delete a schedule; the tasks that it submitted stay."""
    with open_client() as client:
        client.request("DELETE", api_path("schedules", schedule))
    print_note("Removed.")


def _add(
    client: Client, instance: str, schedule: dict[str, Any], source: str | None, values: list[str] | None
) -> dict[str, Any]:
    """Add a schedule with the input that the options describe. Raises InvalidInput."""
    if [schedule[name] for name in ("cron", "interval_seconds", "run_at")].count(None) != 2:
        raise InvalidInput("exactly one of --cron, --every and --at is required")
    schedule["input"] = read_input(client, schedule["kind"], source, values)
    with explain_input(client, schedule["kind"], source, values):
        added: dict[str, Any] = client.request("POST", api_path("instances", instance, "schedules"), json=schedule)
    return added


def _print(schedule: Json, as_json: bool) -> None:
    due = f"next at {when(schedule['next_slot_at'])}" if schedule["next_slot_at"] else "done"
    print_result(schedule, f"{schedule['name']}: {'paused' if schedule['paused'] else due}", as_json)
