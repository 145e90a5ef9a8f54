"""Prints one task with its steps and its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from swallowtail.scripts.cli.output.printing import Json, console, print_table, readable, to_json, took, when


def print_task(task: Json, steps: Sequence[Json]) -> None:
    """Print one task with its steps and its result or error."""
    output = console()
    output.print(f"{readable(task['title'])}: {task['status']}", style="bold", markup=False, highlight=False)
    for line in _describe(task):
        output.print(line, markup=False, highlight=False, soft_wrap=True)
    now = datetime.now(UTC).isoformat()
    rows = [
        (
            step["key"],
            step["agent"],
            step["action"],
            step["status"],
            str(step["tries"]),
            took(step["started_at"], step["completed_at"] or now),
            describe_error(step["error"]),
        )
        for step in steps
    ]
    columns = ("Step", "Agent", "Action", "Status", "Tries", "Took", "Error")
    # Most tasks have no error, and the other columns would be narrow.
    shown = len(columns) if any(row[-1] for row in rows) else len(columns) - 1
    print_table(columns[:shown], [row[:shown] for row in rows], "no steps yet")
    print_end(task)


def print_end(task: Json) -> None:
    """Print a task's error, or its result: as Markdown if it has some, otherwise as JSON."""
    # The libraries take long to import, which `--help` should not.
    from rich.json import JSON
    from rich.markdown import Markdown

    output = console()
    result: Any = task["result"]
    if task["error"]:
        output.print(f"Error: {describe_error(task['error'])}", style="red", markup=False, highlight=False)
    elif isinstance(result, dict) and isinstance(result.get("markdown"), str):
        output.print(Markdown(readable(result["markdown"])))
    elif result is not None:
        output.print(JSON(to_json(result)))


def describe_error(error: Json | None) -> str:
    """Return an error's type and message; an empty text without an error."""
    if not error:
        return ""
    kind = error.get("type") or error.get("code")
    return readable(f"{kind}: {error.get('message', '')}" if kind else error.get("message", ""))


def _describe(task: Json) -> list[str]:
    """Return the lines below a task's title."""
    now = datetime.now(UTC).isoformat()
    by = f" by {readable(task['submitted_by'])}" if task["submitted_by"] else ""
    lines = [
        f"{task['id']} · {task['kind']} · in {task['instance_id']}",
        f"Submitted {when(task['created_at'])}{by}",
    ]
    if task["started_at"]:
        duration = took(task["started_at"], task["finished_at"] or now)
        ended = f", ended {when(task['finished_at'])}" if task["finished_at"] else ""
        lines.append(f"Started {when(task['started_at'])}{ended} · {duration} · attempt {task['attempt']}")
    if not task["finished_at"]:
        message = f" · {readable(task['message'])}" if task["message"] else ""
        cancels = " · cancellation requested" if task["cancel_requested"] else ""
        lines.append(f"{int(task['progress'])} %{message}{cancels}")
        if task["expires_at"] and not task["started_at"]:
            lines.append(f"Expires {when(task['expires_at'])} unless a worker starts it")
    if task.get("waiting"):
        lines.append(f"Waiting: {readable(task['waiting']['message'])}")
    return lines
