"""Shows events as lines and running tasks as progress bars.

On a terminal the bars stay below the lines; a file or a pipe only gets the lines.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from swallowtail.app.core.events import EXECUTION_STEP, EventRecord
from swallowtail.app.core.schemas.tasks import TaskSummary
from swallowtail.app.core.states import TERMINAL, StepStatus, TaskStatus
from swallowtail.scripts.cli.printing import readable

_STATUS_STYLES = {
    TaskStatus.COMPLETED: "bold green",
    TaskStatus.FAILED: "bold red",
    TaskStatus.CANCELLED: "yellow",
    TaskStatus.EXPIRED: "yellow",
    TaskStatus.RETRYING: "yellow",
}
_STEP_MARKS = {
    StepStatus.IN_PROGRESS: "[cyan]›[/]",
    StepStatus.COMPLETED: "[green]✓[/]",
    StepStatus.FAILED: "[red]✗[/]",
    StepStatus.SKIPPED: "[dim]–[/]",
}


def escape(text: object) -> str:
    """Return text of users with control characters and markup escaped."""
    return escape_markup(readable(text))


class LiveDisplay:
    """Shows events as they arrive. A context manager: at its end the bars disappear and the lines stay."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._titles: dict[str, str] = {}
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[title]}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("[dim]{task.description}[/]"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def add_task(self, task: TaskSummary) -> None:
        """Store a task's title, and show its bar unless it has ended."""
        # The caller's token may hide titles and messages.
        self._titles[task["id"]] = task["title"] or task["id"]
        if TaskStatus(task["status"]) not in TERMINAL:
            self._set_bar(task["id"], task["progress"], task["message"])

    def has_task(self, task_id: str) -> bool:
        """Return whether the task was added."""
        return task_id in self._titles

    def show(self, event: EventRecord) -> None:
        """Show one durable event."""
        data = event.data
        if event.type == EXECUTION_STEP:
            self._show_step(event.task_id, data)
        elif "status" in data:
            self._show_status(event.task_id, data)
        else:
            if data.get("cancel_requested"):
                self._line(event.task_id, "[yellow]cancellation requested[/]", data["timestamp"])
            self._set_bar(event.task_id, data["progress"], data["message"])

    def show_live(self, payload: dict[str, Any]) -> None:
        """Show progress within a step, in the bar only: the next event replaces it."""
        data = payload.get("data", {})
        self._set_bar(payload["task_id"], data.get("progress", 0.0), data.get("message", ""))

    def print_note(self, text: str) -> None:
        """Print a remark of the command."""
        self._console.print(text, style="dim", markup=False, highlight=False)

    def _show_status(self, task_id: str, data: dict[str, Any]) -> None:
        status = TaskStatus(data["status"])
        error = data.get("error") or {}
        message = str(error.get("message") or "")
        style = _STATUS_STYLES.get(status, "bold")
        self._line(task_id, f"[{style}]{status}[/]{'  ' + escape(message) if message else ''}", data["timestamp"])
        if status in TERMINAL:
            self._drop_bar(task_id)
        else:
            self._set_bar(task_id, data["progress"], data["message"])

    def _show_step(self, task_id: str, data: dict[str, Any]) -> None:
        status = StepStatus(data["status"])
        what = f"{data['agent']} · {data.get('key', data['action'])}"
        error = (data.get("error") or {}).get("message")
        failure = f"  [red]{escape(error)}[/]" if error else ""
        self._line(
            task_id, f"{_STEP_MARKS[status]} {escape(what)}{failure}", data["completed_at"] or data["started_at"]
        )
        message = what if status is StepStatus.IN_PROGRESS else ""
        self._set_bar(task_id, data.get("progress", 0.0), message)

    def _line(self, task_id: str, text: str, stamp: str) -> None:
        clock = datetime.fromisoformat(stamp).astimezone().strftime("%H:%M:%S")
        title = escape(self._titles.get(task_id, task_id))
        self._console.print(f"[dim]{clock}[/]  {title}  {text}", highlight=False, soft_wrap=True)

    def _set_bar(self, task_id: str, percent: float, message: str | None) -> None:
        title = escape(self._titles.get(task_id, task_id))
        if task_id not in self._bars:
            self._bars[task_id] = self._progress.add_task("", total=100.0, title=title)
        bar = self._bars[task_id]
        self._progress.update(bar, completed=percent, description=escape(message or ""), title=title)

    def _drop_bar(self, task_id: str) -> None:
        bar = self._bars.pop(task_id, None)
        if bar is not None:
            self._progress.remove_task(bar)
