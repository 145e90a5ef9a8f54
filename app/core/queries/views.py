"""Makes JSON-ready views of rows: full views for single objects, summaries for lists and snapshots."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.orm import Session

from swallowtail.app.core.events import bearable, stamp
from swallowtail.app.core.payload_redaction.kept_values import show
from swallowtail.app.core.privacy.redaction import redact_fields, redact_text
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.schemas.instances import AgentView, InstanceView
from swallowtail.app.core.schemas.schedules import ScheduleSummary, ScheduleView, SlotView
from swallowtail.app.core.schemas.tasks import ErrorView, StepSummary, StepView, TaskSummary, TaskView
from swallowtail.app.core.states import TaskStatus
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.tables.schedules import Schedule, Slot
from swallowtail.app.core.tables.system import Agent
from swallowtail.app.core.tables.tasks import Step, Task
from swallowtail.app.core.tables.unreadable import Damaged, as_error, is_mark


def view_instance(row: Instance) -> InstanceView:
    """Return the view of one row."""
    return InstanceView(id=row.id, name=row.name, epoch=row.epoch, seq=row.seq, created_at=stamp(row.created_at))


def summarize_task(row: Task, rules: Rules) -> TaskSummary:
    """Return the summary of one row, without what `rules` hide. Looks at neither input nor result."""
    running = row.status == TaskStatus.IN_PROGRESS.value
    return TaskSummary(
        id=row.id,
        instance_id=row.instance_id,
        kind=row.kind,
        title=redact_text(row.title, rules),
        status=row.status,
        progress=row.progress,
        message=redact_text(row.message, rules),
        attempt=row.attempt,
        error=_show_error(row.error, rules),
        cancel_requested=running and row.cancel_requested_at is not None,
        submitted_by=row.submitted_by,
        last_seq=row.last_seq,
        created_at=stamp(row.created_at),
        started_at=stamp(row.started_at),
        finished_at=stamp(row.finished_at),
        updated_at=stamp(row.updated_at),
        expires_at=stamp(row.expires_at),
    )


def view_task(session: Session, row: Task, rules: Rules) -> TaskView:
    """Return the view of one row, without what `rules` hide."""
    # A reference is shown as it is: what it shows was redacted when it was made.
    given = row.input if row.input_artifact_id is not None else show(session, row, "input", rules)
    result = row.result if row.artifact_id is not None else show(session, row, "result", rules)
    return {**summarize_task(row, rules), "input": given, "result": result}


def summarize_step(row: Step, rules: Rules) -> StepSummary:
    """Return the summary of one row, without what `rules` hide. Does not look at the output."""
    return StepSummary(
        step_id=row.id,
        task_id=row.task_id,
        key=row.key,
        position=row.position,
        agent=row.agent,
        action=row.action,
        status=row.status,
        message=None if row.message is None else redact_text(row.message, rules),
        error=_show_error(row.error, rules),
        attempt=row.attempt,
        tries=row.tries,
        started_at=stamp(row.started_at),
        completed_at=stamp(row.completed_at),
    )


def view_step(session: Session, row: Step, rules: Rules) -> StepView:
    """Return the view of one row, without what `rules` hide."""
    output = row.output if row.artifact_id is not None else show(session, row, "output", rules)
    return {**summarize_step(row, rules), "output": output}


def _show_error(error: dict[str, Any] | None, rules: Rules) -> ErrorView | None:
    """Return an error without what `rules` hide; for one that cannot be read, an error that says so."""
    if error is None:
        return None
    if is_mark(error) or not isinstance(error, dict):
        return cast("ErrorView", as_error(error if isinstance(error, dict) else Damaged()))
    return cast("ErrorView", redact_fields({"error": error}, rules)["error"])


def view_agent(row: Agent) -> AgentView:
    """Return the view of one row."""
    return AgentView(
        kind=row.kind,
        title=row.title,
        description=row.description,
        version=row.version,
        input_schema=bearable(row.input_schema),
        soft_time_limit=row.soft_time_limit,
        hard_time_limit=row.hard_time_limit,
    )


def summarize_schedule(row: Schedule, rules: Rules) -> ScheduleSummary:
    """Return the summary of one row, without what `rules` hide. Does not look at the input."""
    return ScheduleSummary(
        id=row.id,
        instance_id=row.instance_id,
        name=redact_text(row.name, rules),
        kind=row.kind,
        timing=row.timing,
        cron=row.cron,
        timezone=row.timezone,
        interval_seconds=row.interval_seconds,
        run_at=stamp(row.run_at),
        catch_up=row.catch_up,
        overlap=row.overlap,
        paused=row.paused,
        next_slot_at=stamp(row.next_slot_at),
        last_slot_at=stamp(row.last_slot_at),
        created_at=stamp(row.created_at),
    )


def view_schedule(session: Session, row: Schedule, rules: Rules) -> ScheduleView:
    """Return the view of one row, without what `rules` hide."""
    apart = row.input_artifact_id is not None
    given = row.input if apart else show(session, row, "input", rules, learning=True)
    return {**summarize_schedule(row, rules), "input": given}


def view_slot(row: Slot) -> SlotView:
    """Return the view of one row."""
    return SlotView(
        schedule_id=row.schedule_id,
        planned_at=stamp(row.planned_at),
        outcome=row.outcome,
        reason=row.reason,
        task_id=row.task_id,
    )
