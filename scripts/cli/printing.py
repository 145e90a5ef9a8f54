"""What the command prints: one JSON object per line for programs, tables and text for people."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.json import JSON
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from swallowtail.app.core.events import to_json
from swallowtail.app.core.schemas.identities import AuditEntryView, TokenView, UserView
from swallowtail.app.core.schemas.instances import AgentView, InstanceView
from swallowtail.app.core.schemas.schedules import ScheduleSummary, SlotView
from swallowtail.app.core.schemas.tasks import StepSummary, TaskSummary, TaskView

_WIDE = 160
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to whoever decides how the command ends; Rich would end it with 1."""
        raise BrokenPipeError


def console() -> Console:
    """Return a console on standard output as it is now. Into files and pipes, lines are as long as they need to be."""
    width = None if sys.stdout.isatty() else _WIDE
    return _Console(file=sys.stdout, emoji=False, width=width)


def readable(text: object) -> str:
    """Return text without the control characters with which it could take over a terminal."""
    return _CONTROL.sub("\ufffd", str(text))


def tell(text: str) -> None:
    """Print a remark where it is in no program's way: on standard error."""
    print(text, file=sys.stderr)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object on one line, at once, in UTF-8 whatever the terminal speaks."""
    sys.stdout.flush()
    sys.stdout.buffer.write(to_json(value) + b"\n")
    sys.stdout.buffer.flush()


def print_tasks(tasks: Iterable[TaskSummary]) -> None:
    """Print tasks as a table."""
    rows = [(t["id"], t["status"], f"{t['progress']:g}", when(t["created_at"])[5:16], t["title"]) for t in tasks]
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
    _print_table(("No.", "When", "Who", "Action", "Object", "From", "Details"), rows, "nothing is written here")


def print_instances(instances: Iterable[InstanceView]) -> None:
    """Print instances as a table."""
    rows = [(one["id"], one["name"], str(one["seq"]), when(one["created_at"])) for one in instances]
    _print_table(("Instance", "Name", "Events", "Created"), rows, "no instances")


def print_users(users: Iterable[UserView]) -> None:
    """Print users as a table."""
    rows = [
        (
            one["name"],
            "superuser" if one["is_superuser"] else "",
            "disabled" if one["disabled_at"] else "",
            one["issuer"] or "",
            when(one["created_at"]),
        )
        for one in users
    ]
    _print_table(("User", "Role", "State", "Issuer", "Created"), rows, "no users")


def print_tokens(tokens: Iterable[TokenView]) -> None:
    """Print tokens as a table; nobody has their secrets."""
    rows = [
        (
            one["id"],
            one["name"],
            "all that you may" if one["acts"] is None else ", ".join(one["acts"]),
            one["instance_id"] or "",
            when(one["expires_at"]),
            when(one["last_used_at"]),
        )
        for one in tokens
    ]
    _print_table(("Token", "Name", "Allows", "Instance", "Until", "Last used"), rows, "no tokens")


def print_agents(agents: Iterable[AgentView]) -> None:
    """Print agents' cards as a table."""
    rows = [(card["kind"], card["title"], card["description"].partition("\n")[0]) for card in agents]
    _print_table(("Kind", "Title", "What it does"), rows, "no agents; run python -m swallowtail.workers.release")


def print_agent(card: AgentView) -> None:
    """Print one agent's card with the fields of its input."""
    screen = console()
    screen.print(f"{card['kind']}: {card['title']}", style="bold", markup=False, highlight=False)
    screen.print(card["description"], markup=False, highlight=False)
    schema = card["input_schema"]
    required = set(schema.get("required", []))
    rows = [
        (name, str(rule.get("type", "")), "yes" if name in required else "", str(rule.get("description", "")))
        for name, rule in schema.get("properties", {}).items()
    ]
    _print_table(("Input", "Type", "Required", "Meaning"), rows, "it takes no input")


def print_schedules(schedules: Iterable[ScheduleSummary]) -> None:
    """Print schedules as a table."""
    rows = [
        (one["id"], one["name"], one["kind"], _timing(one), "paused" if one["paused"] else when(one["next_slot_at"]))
        for one in schedules
    ]
    _print_table(("Schedule", "Name", "Kind", "When", "Next"), rows, "no schedules")


def print_slots(slots: Iterable[SlotView]) -> None:
    """Print a schedule's slots as a table."""
    rows = [(when(one["planned_at"]), one["outcome"], one["task_id"] or "", one["reason"]) for one in slots]
    _print_table(("Planned", "Outcome", "Task", "Reason"), rows, "no slots yet")


def print_task(task: TaskView, steps: Iterable[StepSummary]) -> None:
    """Print one task with its steps and what came of it."""
    screen = console()
    screen.print(f"{task['title']}: {task['status']}", style="bold", markup=False, highlight=False)
    screen.print(
        f"{task['id']} · {task['kind']} · {task['progress']:g} % · {readable(task['message'])}",
        highlight=False,
        markup=False,
    )
    rows = [
        (step["key"], step["agent"], step["status"], str(step["tries"]), when(step["completed_at"])) for step in steps
    ]
    _print_table(("Step", "Agent", "Status", "Tries", "Ended"), rows, "no steps yet")
    print_end(task)


def print_end(task: TaskView) -> None:
    """Print a task's error, or its result: as Markdown when that is what it holds."""
    screen = console()
    result = task["result"]
    if task["error"]:
        screen.print(f"Error: {readable(task['error'].get('message', ''))}", style="red", markup=False, highlight=False)
    elif isinstance(result, dict) and isinstance(result.get("markdown"), str):
        screen.print(Markdown(readable(result["markdown"])))
    elif result is not None:
        screen.print(JSON(to_json(result).decode()))


def when(stamp: str | None) -> str:
    """Return a moment of the wire as this machine's wall clock shows it."""
    return "" if stamp is None else datetime.fromisoformat(stamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _timing(one: ScheduleSummary) -> str:
    if one["cron"] is not None:
        return f"{one['cron']} ({one['timezone']})"
    if one["interval_seconds"] is not None:
        return f"every {one['interval_seconds']:g} s"
    return f"once, {when(one['run_at'])}"


def _print_table(columns: tuple[str, ...], rows: Sequence[tuple[str | None, ...]], nothing: str) -> None:
    screen = console()
    if not rows:
        screen.print(nothing, style="dim")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    # Ids are for copying and states for seeing at a glance: only the last column is folded.
    for place, column in enumerate(columns):
        table.add_column(column, no_wrap=place < len(columns) - 1, overflow="fold")
    for row in rows:
        table.add_row(*(Text(readable(text or "")) for text in row))
    screen.print(table)
