"""Checks that an instance's event log is consistent and agrees with the rows.

`fold` replays a log as a simple client does and fails at what no client may see: a gap, a repeat, a forbidden move,
decreasing progress, a step that ends without a start or stays open after its run, a cancel that did not win. `check`
compares the result with the database. `story` describes a log in words, so that tests can assert exact lists of events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.event_log import read_events, read_head
from swallowtail.app.core.states import CLAIMABLE, TERMINAL, StepStatus, TaskStatus, may_move
from swallowtail.app.core.tables.tasks import Outbox, Step, Task

Wire = Mapping[str, Any]
#: Percent and message of the last heartbeat of each task.
Live = Mapping[str, tuple[float, str]]

UPDATE_FIELDS = {"progress", "message", "timestamp"}
STATUS_FIELDS = UPDATE_FIELDS | {"status", "previous_status"}
STEP_FIELDS = {
    "step_id", "agent", "action", "status", "output", "started_at", "completed_at", "key", "position", "tries",
    "progress",
}  # fmt: skip


@dataclass
class StepHistory:
    """The state of a step after its events."""

    step_id: str
    agent: str
    action: str
    position: int
    tries: int
    attempt: int
    status: str
    output: Any
    message: str | None
    error: Any
    started_at: str | None
    completed_at: str | None


@dataclass
class TaskHistory:
    """The state of a task after its events."""

    status: str | None = None
    progress: float = 0.0
    message: str = ""
    error: Any = None
    result: Any = None
    attempt: int = 0
    cancel_requested: bool = False
    last_seq: int = 0
    steps: dict[str, StepHistory] = field(default_factory=dict)


def story(events: Iterable[EventRecord | Wire]) -> list[str]:
    """Describe events in words: `QUEUED`, `IN_PROGRESS 0` (progress), `a completed`, `50 Half way` (a note)."""
    return [_words(_wire(event)) for event in events]


def fold(events: Iterable[EventRecord | Wire], *, after: int = 0) -> dict[str, TaskHistory]:
    """Replay a log of one instance from number `after + 1` on and return the tasks by id. Raises AssertionError."""
    tasks: dict[str, TaskHistory] = {}
    ids: set[str] = set()
    epoch: str | None = None
    for event in events:
        wire = _wire(event)
        assert wire["seq"] == after + 1, f"number {wire['seq']} follows {after}"
        assert wire["id"] not in ids, f"the id of {wire} was used before"
        assert epoch in (None, wire["epoch"]), f"{wire} has another epoch than {epoch}"
        after, epoch = wire["seq"], wire["epoch"]
        ids.add(wire["id"])
        history = tasks.setdefault(wire["task_id"], TaskHistory())
        _play(history, wire)
        history.last_seq = after
    return tasks


def check(db: Database, instance_id: str, *, live: Live | None = None) -> dict[str, TaskHistory]:
    """Assert that an instance's log is in order and agrees with its rows, at one moment; return the replayed tasks.

    A heartbeat writes the progress and message of a running task without an event. With `live`, the rows must have
    these; without it, a running task may be ahead of its log.
    """
    with db.read() as session:
        return check_session(session, instance_id, live=live)


def check_session(session: Session, instance_id: str, *, live: Live | None = None) -> dict[str, TaskHistory]:
    """Do the same inside a transaction."""
    head = read_head(session, instance_id)
    assert head is not None
    events = read_events(session, instance_id, 0, 10_000_000)
    assert len(events) == head.seq - head.min_seq, f"{len(events)} events are stored, the head is {head}"
    replayed = fold(events, after=head.min_seq)
    assert all(event.epoch == head.epoch for event in events)
    rows = {row.id: row for row in session.scalars(select(Task).where(Task.instance_id == instance_id))}
    assert set(replayed) == set(rows), "tasks without events, or events without a task"
    for task_id, row in rows.items():
        _compare(replayed[task_id], row, live)
        steps = list(session.scalars(select(Step).where(Step.task_id == task_id).order_by(Step.position)))
        _compare_steps(replayed[task_id], steps)
        _check_outbox(row, session.get(Outbox, task_id))
    return replayed


def _wire(event: EventRecord | Wire) -> Wire:
    return event.wire() if isinstance(event, EventRecord) else event


def _words(wire: Wire) -> str:
    data = wire["data"]
    if wire["type"] == "execution_step":
        return f"{data['key']} {data['status']}"
    if "status" not in data:
        return f"{data['progress']:g} {data['message']}"
    return f"{data['status']} {data['progress']:g}" if data["status"] == "IN_PROGRESS" else str(data["status"])


def _play(history: TaskHistory, wire: Wire) -> None:
    data = wire["data"]
    if wire["type"] == "execution_step":
        assert set(data) - {"error", "message"} == STEP_FIELDS, wire
        assert "message" not in data or data["status"] == StepStatus.COMPLETED, wire
        _play_step(history, wire)
    elif "status" in data:
        new = {"kind", "title", "submitted_by"} if data["previous_status"] is None else set()
        assert set(data) - {"error", "result"} == STATUS_FIELDS | new, wire
        _play_status(history, wire)
    else:
        assert wire["type"] == "task_update", wire
        assert set(data) - {"cancel_requested"} == UPDATE_FIELDS, wire
        waits = data["message"].startswith("Waiting for ") and history.status in CLAIMABLE
        assert history.status == TaskStatus.IN_PROGRESS or waits, f"a note outside of a run: {wire}"
        assert wire["attempt"] == history.attempt, wire
        assert data["progress"] >= history.progress, f"progress went back from {history.progress}: {wire}"
        history.message = data["message"]
        history.cancel_requested |= data.get("cancel_requested", False)
    history.progress = data["progress"]
    assert 0.0 <= history.progress <= 100.0, wire


def _play_status(history: TaskHistory, wire: Wire) -> None:
    data = wire["data"]
    before = None if history.status is None else TaskStatus(history.status)
    after = TaskStatus(data["status"])
    assert data["previous_status"] == before, f"the log was at {before}: {wire}"
    assert may_move(before, after), f"no such move: {wire}"
    begins = after is TaskStatus.IN_PROGRESS
    assert wire["attempt"] == history.attempt + begins, f"the log was at attempt {history.attempt}: {wire}"
    assert begins or data["progress"] >= history.progress, f"progress went back from {history.progress}: {wire}"
    if before is TaskStatus.IN_PROGRESS:
        left = [key for key, step in history.steps.items() if step.status == StepStatus.IN_PROGRESS]
        assert not left, f"the run is over and left {left} open: {wire}"
        assert after is TaskStatus.CANCELLED or not history.cancel_requested, f"the cancel did not win: {wire}"
    history.status, history.message, history.attempt = after, data["message"], wire["attempt"]
    history.error, history.result = data.get("error"), data.get("result")
    history.cancel_requested = False


def _play_step(history: TaskHistory, wire: Wire) -> None:
    data = wire["data"]
    assert history.status == TaskStatus.IN_PROGRESS, f"a step outside of a run: {wire}"
    assert wire["attempt"] == history.attempt, wire
    assert data["progress"] >= history.progress, f"progress went back from {history.progress}: {wire}"
    known = history.steps.get(data["key"])
    status = StepStatus(data["status"])
    if known is None:
        assert data["position"] == len(history.steps) + 1, wire
        assert status in (StepStatus.IN_PROGRESS, StepStatus.SKIPPED), f"an end without a start: {wire}"
    else:
        assert (data["step_id"], data["position"]) == (known.step_id, known.position), wire
        is_open = known.status == StepStatus.IN_PROGRESS
        if status is StepStatus.IN_PROGRESS:
            assert not is_open, f"started twice: {wire}"
            assert known.attempt < wire["attempt"], f"started twice in one run: {wire}"
        elif status is StepStatus.SKIPPED:
            assert is_open or known.attempt < wire["attempt"], f"ended twice: {wire}"
        else:
            assert is_open, f"an end without a start: {wire}"
            assert data["started_at"] == known.started_at, wire
    assert (data["completed_at"] is None) == (status is StepStatus.IN_PROGRESS), wire
    assert ("error" in data) == (status is StepStatus.FAILED), wire
    history.steps[data["key"]] = StepHistory(
        **{name: data[name] for name in STEP_FIELDS - {"key", "progress"}},
        attempt=wire["attempt"],
        message=data.get("message"),
        error=data.get("error"),
    )


def _compare(replayed: TaskHistory, row: Task, live: Live | None) -> None:
    assert row.status == replayed.status
    assert row.attempt == replayed.attempt
    assert row.last_seq == replayed.last_seq
    assert (row.error, row.result) == (replayed.error, replayed.result)
    running = row.status == TaskStatus.IN_PROGRESS
    assert (running and row.cancel_requested_at is not None) == replayed.cancel_requested
    assert (row.token is not None) == running
    assert (row.lease_until is not None) == running
    assert (row.finished_at is not None) == (row.status in TERMINAL)
    assert (row.started_at is not None) == (row.attempt > 0)
    if running and live is None:
        assert replayed.progress <= row.progress <= 100.0
    else:
        progress, message = (live or {}).get(row.id, (replayed.progress, replayed.message))
        assert row.progress == max(replayed.progress, progress)
        assert row.message == message


def _compare_steps(replayed: TaskHistory, rows: list[Step]) -> None:
    assert [row.key for row in rows] == list(replayed.steps)
    for row in rows:
        step = replayed.steps[row.key]
        assert (row.id, row.agent, row.action) == (step.step_id, step.agent, step.action)
        assert (row.position, row.attempt, row.status) == (step.position, step.attempt, step.status)
        assert (row.output, row.message, row.error) == (step.output, step.message, step.error)
        assert row.tries in (step.tries, 0), "only a requested retry resets the tries"
        assert not row.saved or row.status in (StepStatus.COMPLETED, StepStatus.SKIPPED)


def _check_outbox(row: Task, entry: Outbox | None) -> None:
    """Assert that a task that waits for a worker has an entry for its next attempt, and others have none."""
    if TaskStatus(row.status) in CLAIMABLE and row.status != TaskStatus.WAITING:
        assert entry is not None, f"no worker will ever claim {row.id}, which is {row.status}"
        assert entry.attempt == row.attempt + 1
    else:
        assert entry is None
