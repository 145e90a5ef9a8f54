"""Makes JSON-ready views of rows: full views for single objects, summaries for lists and snapshots."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from sqlalchemy.orm import Session

from swallowtail.app.core.events import limit_depth
from swallowtail.app.core.payload_redaction.stored_redactions import show_payload
from swallowtail.app.core.privacy.redaction import redact_fields, redact_text
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.schemas.fields import view_row
from swallowtail.app.core.schemas.instances import AgentView
from swallowtail.app.core.schemas.schedules import ScheduleSummary, ScheduleView
from swallowtail.app.core.schemas.tasks import ErrorView, StepSummary, StepView, TaskState, TaskSummary, TaskView
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.schedules import Schedule
from swallowtail.app.core.tables.system import Agent
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.core.tables.unreadable import Damaged, as_error, is_mark


def view_state(row: Task, rules: Rules) -> TaskState:
    """Return what is stored in one row, redacted by `rules`. Reads neither input nor result."""
    is_running = row.status == TaskStatus.IN_PROGRESS.value
    return view_row(
        TaskState,
        row,
        title=redact_text(row.title, rules),
        message=redact_text(row.message, rules),
        error=_show_error(row.error, rules),
        cancel_requested=is_running and row.cancel_requested_at is not None,
    )


def summarize_task(row: Task, rules: Rules) -> TaskSummary:
    """Return the summary of one row, redacted by `rules`; `core/queries/waits` adds why it waits."""
    return {**view_state(row, rules), "waiting": None}


def view_task(session: Session, row: Task, rules: Rules) -> TaskView:
    """Return the view of one row, redacted by `rules`."""
    # A reference to an artifact is shown as it is: its preview was redacted when it was stored.
    payload = row.input if row.input_artifact_id is not None else show_payload(session, row, "input", rules)
    result = row.result if row.artifact_id is not None else show_payload(session, row, "result", rules)
    return {**summarize_task(row, rules), "input": payload, "result": result}


def summarize_step(row: Step, rules: Rules) -> StepSummary:
    """Return the summary of one row, redacted by `rules`. Does not read the output."""
    message = None if row.message is None else redact_text(row.message, rules)
    return view_row(StepSummary, row, step_id=row.id, message=message, error=_show_error(row.error, rules))


def view_step(session: Session, row: Step, rules: Rules) -> StepView:
    """Return the view of one row, redacted by `rules`."""
    output = row.output if row.artifact_id is not None else show_payload(session, row, "output", rules)
    return {**summarize_step(row, rules), "output": output}


def _show_error(error: dict[str, Any] | None, rules: Rules) -> ErrorView | None:
    """Return an error, redacted by `rules`; for one that cannot be read, an error that says so."""
    if error is None:
        return None
    if is_mark(error) or not isinstance(error, dict):
        return cast("ErrorView", as_error(error if isinstance(error, dict) else Damaged()))
    return cast("ErrorView", redact_fields({"error": error}, rules)["error"])


def view_agent(row: Agent) -> AgentView:
    """Return the view of one row."""
    return view_row(AgentView, row, input_schema=limit_depth(row.input_schema))


def summarize_schedule(row: Schedule, rules: Rules) -> ScheduleSummary:
    """Return the summary of one row, redacted by `rules`. Does not read the input."""
    return view_row(ScheduleSummary, row, name=redact_text(row.name, rules))


def view_schedule(session: Session, row: Schedule, rules: Rules) -> ScheduleView:
    """Return the view of one row, redacted by `rules`."""
    is_reference = row.input_artifact_id is not None
    payload = row.input if is_reference else show_payload(session, row, "input", replace(rules, hides_own=True))
    return {**summarize_schedule(row, rules), "input": payload}
