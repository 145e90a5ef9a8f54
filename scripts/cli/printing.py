"""Prints results: one JSON object per line for programs, tables and text for people."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from rich.console import Console
from rich.json import JSON
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from swallowtail.app.core.events import to_json
from swallowtail.app.core.schemas.identities import AuditEntryView, CreatedToken, MemberView, TokenView, UserView
from swallowtail.app.core.schemas.instances import AgentView, InstanceView
from swallowtail.app.core.schemas.schedules import ScheduleSummary, SlotView
from swallowtail.app.core.schemas.tasks import StepSummary, TaskSummary, TaskView

Item = TypeVar("Item", bound=Mapping[str, Any])

_WIDE = 160
_UNITS = {"d": 86_400, "h": 3600, "m": 60}
#: Characters of a cell that stays in one line, such as an id.
_LONGEST_UNFOLDED = 40
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError for `exit_codes`; Rich would exit with 1."""
        raise BrokenPipeError


def console() -> Console:
    """Return a console on standard output. In files and pipes, lines are not wrapped at the terminal's width."""
    width = None if sys.stdout.isatty() else _WIDE
    return _Console(file=sys.stdout, emoji=False, width=width)


def readable(text: object) -> str:
    """Return text with control characters replaced, so that it cannot control the terminal."""
    return _CONTROL.sub("\ufffd", str(text))


def print_note(text: str) -> None:
    """Print a remark on standard error, so that standard output stays readable for programs."""
    print(text, file=sys.stderr)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object as a line of UTF-8, without buffering."""
    sys.stdout.flush()
    sys.stdout.buffer.write(to_json(value) + b"\n")
    sys.stdout.buffer.flush()


def print_list(items: Sequence[Item], as_json: bool, print_table: Callable[[Sequence[Item]], None]) -> None:
    """Print each item as a line of JSON, or all as a table."""
    if not as_json:
        print_table(items)
        return
    for item in items:
        print_json(item)


def print_tasks(tasks: Iterable[TaskSummary]) -> None:
    """Print tasks as a table."""
    rows = [(t["id"], t["status"], str(int(t["progress"])), when(t["created_at"])[5:16], t["title"]) for t in tasks]
    _print_table(("Task", "Status", "%", "Submitted", "Title"), rows, "no tasks")


def print_audit(entries: Iterable[AuditEntryView]) -> None:
    """Print entries of an audit log as a table."""
    rows = [
        (
            str(e["number"]),
            when(e["at"]),
            e["actor_name"],
            e["action"],
            f"{e['object_type']} {e['object_id']}",
            f"{e['entrance']} {e['address']}",
            to_json(e["detail"]).decode() if e["detail"] else "",
        )
        for e in entries
    ]
    _print_table(("No.", "When", "Who", "Action", "Object", "From", "Details"), rows, "no entries")


def print_instances(instances: Iterable[InstanceView]) -> None:
    """Print instances as a table."""
    rows = [(item["id"], item["name"], str(item["seq"]), when(item["created_at"])) for item in instances]
    _print_table(("Instance", "Name", "Events", "Created"), rows, "no instances")


def print_users(users: Iterable[UserView]) -> None:
    """Print users as a table."""
    rows = [
        (
            item["name"],
            "superuser" if item["is_superuser"] else "",
            "disabled" if item["disabled_at"] else "",
            item["issuer"] or "",
            when(item["created_at"]),
        )
        for item in users
    ]
    _print_table(("User", "Role", "State", "Issuer", "Created"), rows, "no users")


def print_result(view: Mapping[str, Any], note: str, as_json: bool) -> None:
    """Print what a command created or changed: as a line of JSON, or its id and a remark."""
    if as_json:
        print_json(view)
    else:
        print(view["id"])
        print_note(note)


def print_members(members: Iterable[MemberView]) -> None:
    """Print the members of an instance as a table."""
    rows = [(item["name"], item["role"], when(item["created_at"])) for item in members]
    _print_table(("User", "Role", "Since"), rows, "no members")


def print_secret(created: CreatedToken, as_json: bool) -> None:
    """Print a new token: its secret, and until when it is valid."""
    if as_json:
        print_json(created)
        return
    token = created["token"]
    print(created["secret"])
    print_note(f"Token {token['id']}, valid until {when(token['expires_at'])}. It is not shown again.")


def print_tokens(tokens: Iterable[TokenView]) -> None:
    """Print tokens as a table, without their secrets."""
    rows = [
        (
            item["id"],
            item["name"],
            "all your permissions" if item["acts"] is None else ", ".join(item["acts"]),
            item["task_id"] or item["instance_id"] or "",
            when(item["expires_at"]),
            when(item["last_used_at"]),
        )
        for item in tokens
    ]
    _print_table(("Token", "Name", "Allows", "Limited to", "Until", "Last used"), rows, "no tokens")


def print_agents(agents: Iterable[AgentView]) -> None:
    """Print agents as a table."""
    rows = [(card["kind"], card["title"], card["description"].partition("\n")[0]) for card in agents]
    _print_table(("Kind", "Title", "What it does"), rows, "no agents; run swallowtail release")


def print_agent(card: AgentView) -> None:
    """Print one agent with the fields of its input."""
    output = console()
    output.print(f"{card['kind']}: {card['title']}", style="bold", markup=False, highlight=False)
    output.print(card["description"], markup=False, highlight=False)
    schema = card["input_schema"]
    required = set(schema.get("required", []))
    rows = [
        (name, str(rule.get("type", "")), "yes" if name in required else "", str(rule.get("description", "")))
        for name, rule in schema.get("properties", {}).items()
    ]
    _print_table(("Input", "Type", "Required", "Meaning"), rows, "no input")


def print_schedules(schedules: Iterable[ScheduleSummary]) -> None:
    """Print schedules as a table."""
    rows = [
        (
            item["id"],
            item["name"],
            item["kind"],
            _timing(item),
            "paused" if item["paused"] else when(item["next_slot_at"]),
        )
        for item in schedules
    ]
    _print_table(("Schedule", "Name", "Kind", "When", "Next"), rows, "no schedules")


def print_slots(slots: Iterable[SlotView]) -> None:
    """Print a schedule's slots as a table."""
    rows = [(when(item["planned_at"]), item["outcome"], item["task_id"] or "", item["reason"]) for item in slots]
    _print_table(("Planned", "Outcome", "Task", "Reason"), rows, "no slots yet")


def print_task(task: TaskView, steps: Iterable[StepSummary]) -> None:
    """Print one task with its steps and its result or error."""
    output = console()
    output.print(f"{task['title']}: {task['status']}", style="bold", markup=False, highlight=False)
    output.print(
        f"{task['id']} · {task['kind']} · {int(task['progress'])} % · {readable(task['message'])}",
        highlight=False,
        markup=False,
    )
    rows = [
        (step["key"], step["agent"], step["status"], str(step["tries"]), when(step["completed_at"])) for step in steps
    ]
    _print_table(("Step", "Agent", "Status", "Tries", "Ended"), rows, "no steps yet")
    print_end(task)


def print_end(task: TaskView) -> None:
    """Print a task's error, or its result: as Markdown if it has some, otherwise as JSON."""
    output = console()
    result = task["result"]
    if task["error"]:
        output.print(f"Error: {readable(task['error'].get('message', ''))}", style="red", markup=False, highlight=False)
    elif isinstance(result, dict) and isinstance(result.get("markdown"), str):
        output.print(Markdown(readable(result["markdown"])))
    elif result is not None:
        output.print(JSON(to_json(result).decode()))


def when(stamp: str | None) -> str:
    """Return a timestamp of the wire in local time."""
    return "" if stamp is None else datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _timing(item: ScheduleSummary) -> str:
    if item["cron"] is not None:
        return f"{item['cron']} ({item['timezone']})"
    if item["interval_seconds"] is not None:
        return f"every {format_duration(item['interval_seconds'])}"
    return f"once, {when(item['run_at'])}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def format_duration(seconds: float) -> str:
    """Return a duration as options take it: `15m` for 900 seconds, `1d` for a day."""
    size, unit = next(((size, unit) for unit, size in _UNITS.items() if seconds % size == 0), (1, "s"))
    return f"{seconds / size:g}{unit}"


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[str | None, ...]], empty: str) -> None:
    output = console()
    if not rows:
        output.print(empty, style="dim")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    # Ids are not folded, so that they can be copied.
    for place, column in enumerate(columns):
        is_long = max(len(row[place] or "") for row in rows) > _LONGEST_UNFOLDED
        table.add_column(column, no_wrap=place < len(columns) - 1 and not is_long, overflow="fold")
    for row in rows:
        table.add_row(*(Text(readable(text or "")) for text in row))
    output.print(table)
