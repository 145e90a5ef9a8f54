"""The states of tasks and steps, and the moves between them (docs/states.md has the diagram).

SUBMITTED -a-> QUEUED -b-> IN_PROGRESS -c-> COMPLETED
                 ^             |-d-> FAILED
                 |             |-e-> RETRYING -f-> (outbox, available_at) -> QUEUED
                 |             '-g-> WAITING -h-> QUEUED
any non-terminal -x-> CANCELLED      not yet claimed -y-> EXPIRED
FAILED, CANCELLED, EXPIRED -r-> RETRYING (on request)
"""

from __future__ import annotations

from enum import StrEnum


class TaskStatus(StrEnum):
    """What a user sees of a task. Upper case, on the wire and in the database."""

    #: Stored with its outbox entry; no message has been sent yet.
    SUBMITTED = "SUBMITTED"
    #: A wake-up message was sent to the broker.
    QUEUED = "QUEUED"
    #: One worker holds the lease and performs steps.
    IN_PROGRESS = "IN_PROGRESS"
    #: Waits between steps for an approval, a timer or child tasks.
    WAITING = "WAITING"
    #: The last attempt ended early; the next one waits in the outbox.
    RETRYING = "RETRYING"
    #: Finished with a result.
    COMPLETED = "COMPLETED"
    #: Finished with an error.
    FAILED = "FAILED"
    #: Finished by a cancel request.
    CANCELLED = "CANCELLED"
    #: Never started before its `expires_at`.
    EXPIRED = "EXPIRED"


class StepStatus(StrEnum):
    """What a user sees of a step. Lower case, on the wire and in the database."""

    #: A run is inside the step.
    IN_PROGRESS = "in_progress"
    #: The step's output is in the journal and is not computed again.
    COMPLETED = "completed"
    #: The step ended with an error; the next attempt runs it again.
    FAILED = "failed"
    #: The agent decided that the step is not needed.
    SKIPPED = "skipped"


#: Only a requested retry leads out of these.
TERMINAL: frozenset[TaskStatus] = frozenset(
    {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED}
)
ACTIVE: frozenset[TaskStatus] = frozenset(TaskStatus) - TERMINAL

#: States of a task when its wake-up message arrives: the relay marks QUEUED only after sending.
CLAIMABLE: frozenset[TaskStatus] = frozenset(
    {TaskStatus.SUBMITTED, TaskStatus.QUEUED, TaskStatus.RETRYING, TaskStatus.WAITING}
)
RETRYABLE: frozenset[TaskStatus] = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.EXPIRED})

#: The allowed moves from each state. The ledger refuses all others.
MOVES: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.SUBMITTED: frozenset({TaskStatus.QUEUED, TaskStatus.CANCELLED, TaskStatus.EXPIRED}),
    TaskStatus.QUEUED: frozenset({TaskStatus.IN_PROGRESS, TaskStatus.CANCELLED, TaskStatus.EXPIRED}),
    TaskStatus.IN_PROGRESS: frozenset(
        {TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.RETRYING, TaskStatus.WAITING, TaskStatus.CANCELLED}
    ),
    TaskStatus.WAITING: frozenset({TaskStatus.QUEUED, TaskStatus.CANCELLED}),
    TaskStatus.RETRYING: frozenset({TaskStatus.QUEUED, TaskStatus.CANCELLED}),
    TaskStatus.COMPLETED: frozenset(),
    TaskStatus.FAILED: frozenset({TaskStatus.RETRYING}),
    TaskStatus.CANCELLED: frozenset({TaskStatus.RETRYING}),
    TaskStatus.EXPIRED: frozenset({TaskStatus.RETRYING}),
}


def may_move(before: TaskStatus | None, after: TaskStatus) -> bool:
    """Return whether a task may move from `before` (None: not stored yet) to `after`."""
    if before is None:
        return after is TaskStatus.SUBMITTED
    return after in MOVES[before]
