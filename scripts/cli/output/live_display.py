"""Shows events as lines and running tasks as progress bars.

On a terminal the bars stay below the lines; a file or a pipe only gets the lines.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape as escape_markup
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from swallowtail.app.core.states import TERMINAL, StepStatus, TaskStatus
from swallowtail.scripts.cli.output.printing import Json, readable
from swallowtail.scripts.cli.output.task_report import describe_error

if TYPE_CHECKING:
    from swallowtail.client import Event, LiveUpdate

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

    def __init__(self, console: Console, *, with_ids: bool = False) -> None:
        """Prepare a display; `with_ids` shows the task's id in each line, for several tasks."""
        self._console = console
        self._with_ids = with_ids
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

    def add_task(self, task: Json) -> None:
        """Store a task's title, and show its bar unless it has ended."""
        # The caller's token may hide titles and messages.
        self._titles[task["id"]] = task["title"] or task["id"]
        if TaskStatus(task["status"]) not in TERMINAL:
            self._set_bar(task["id"], task["progress"], task["message"])

    def has_task(self, task_id: str) -> bool:
        """Return whether the task was added."""
        return task_id in self._titles

    def show(self, event: Event) -> None:
        """Show one durable event."""
        data = event.data
        if event.type == "execution_step":
            self._show_step(event.task_id, data)
        elif "status" in data:
            self._show_status(event.task_id, data)
        else:
            if data.get("cancel_requested"):
                self._line(event.task_id, "[yellow]cancellation requested[/]", data["timestamp"])
            self._set_bar(event.task_id, data["progress"], data["message"])

    def show_live(self, update: LiveUpdate) -> None:
        """Show progress within a step, in the bar only: the next event replaces it."""
        if update.type == "progress":
            self._set_bar(update.task_id, update.progress or 0.0, update.message)

    def print_note(self, text: str) -> None:
        """Print a remark of the command."""
        self._console.print(text, style="dim", markup=False, highlight=False)

    def _show_status(self, task_id: str, data: dict[str, Any]) -> None:
        status = TaskStatus(data["status"])
        error = data.get("error") or {}
        message = describe_error(error)
        style = _STATUS_STYLES.get(status, "bold")
        self._line(task_id, f"[{style}]{status}[/]{'  ' + escape(message) if message else ''}", data["timestamp"])
        if status in TERMINAL:
            self._drop_bar(task_id)
        else:
            self._set_bar(task_id, data["progress"], data["message"])

    def _show_step(self, task_id: str, data: dict[str, Any]) -> None:
        status = StepStatus(data["status"])
        what = f"{data['agent']} · {data.get('key', data['action'])}"
        error = describe_error(data.get("error"))
        failure = f"  [red]{escape(error)}[/]" if error else ""
        self._line(
            task_id, f"{_STEP_MARKS[status]} {escape(what)}{failure}", data["completed_at"] or data["started_at"]
        )
        message = what if status is StepStatus.IN_PROGRESS else ""
        self._set_bar(task_id, data.get("progress"), message)

    def _line(self, task_id: str, text: str, stamp: str) -> None:
        clock = datetime.fromisoformat(stamp).astimezone().strftime("%H:%M:%S")
        title = escape(self._titles.get(task_id, task_id))
        name = f"[dim]{task_id}[/]  {title}" if self._with_ids and title != task_id else title
        self._console.print(f"[dim]{clock}[/]  {name}  {text}", highlight=False, soft_wrap=True)

    def _set_bar(self, task_id: str, percent: float | None, message: str | None) -> None:
        title = escape(self._titles.get(task_id, task_id))
        if task_id not in self._bars:
            self._bars[task_id] = self._progress.add_task("", total=100.0, title=title)
        bar = self._bars[task_id]
        # A step's event has no percentage: the task's latest one stays.
        self._progress.update(bar, completed=percent, description=escape(message or ""), title=title)

    def _drop_bar(self, task_id: str) -> None:
        bar = self._bars.pop(task_id, None)
        if bar is not None:
            self._progress.remove_task(bar)
