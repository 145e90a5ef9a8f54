"""Defines how a run can end before its agent returns, and the exceptions that end it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Error = dict[str, Any]


class OutcomeKind(StrEnum):
    """What becomes of the task when its run ends early."""

    #: The task gets its next attempt after a delay.
    RETRY = "retry"
    #: The task fails for good.
    FAIL = "fail"
    #: The task is cancelled on request.
    CANCEL = "cancel"
    #: The worker stops: the task gets its next attempt at once, and this one does not count as a failure.
    REQUEUE = "requeue"
    #: The process of the run is being ended for an unknown reason: as REQUEUE, but it counts as a lost worker.
    LOST = "lost"
    #: Another run holds the task, or the database is away: nothing is written.
    ABANDON = "abandon"


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ends early: `delay` is in seconds, `outside_steps` marks an error outside of any step."""

    kind: OutcomeKind
    error: Error
    delay: float = 0.0
    outside_steps: bool = False


CANCELLED = RunOutcome(OutcomeKind.CANCEL, {"code": "cancelled", "message": "Cancelled"})
LEASE_LOST = RunOutcome(OutcomeKind.ABANDON, {"code": "lease_lost", "message": "This run no longer holds the task"})
TIMED_OUT = RunOutcome(OutcomeKind.FAIL, {"code": "soft_time_limit", "message": "The soft time limit was exceeded"})
WORKER_STOPPED = RunOutcome(
    OutcomeKind.REQUEUE, {"code": "worker_stopped", "message": "The worker was shut down; the run goes on elsewhere"}
)
TERMINATED = RunOutcome(OutcomeKind.LOST, {"code": "worker_lost", "message": "The process of the run was ended"})


class PermanentError(Exception):
    """An error that another try would repeat: an agent raises it, and the task fails at once.

    Args:
        message: one line for the people who watch the task.
        code: name of the failure for programs, such as `no_such_page`.
    """

    def __init__(self, message: str, code: str = "permanent") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class RunStopped(KeyboardInterrupt):
    """The run is over. An agent may clean up in `finally`; the next call of its context raises it again.

    It is a KeyboardInterrupt because `except Exception` must not catch it, and asyncio lets no other exception out.
    """

    def __init__(self, outcome: RunOutcome) -> None:
        super().__init__(outcome.error["message"])
        self.outcome = outcome


class WorkerStopping(RunStopped):
    """The worker stops, and the step has used up `shutdown_grace` since then. Raised once, in the step.

    A step may catch it, clean up and return what it has: the output is saved, and another worker continues after the
    step. A step that does not catch it is performed again there, with as many tries left as before.
    """

    def __init__(self) -> None:
        super().__init__(WORKER_STOPPED)
