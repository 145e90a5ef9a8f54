"""How a run can end, and how an exception is told. Beside `workers/run/context`, between an agent and `core/ledger/runs`."""

from __future__ import annotations

import math
import random
import re
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy.exc import DataError, SQLAlchemyError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.events import plain

log = structlog.get_logger(__name__)

Error = dict[str, Any]

#: Longest text of an error that goes into events: watchers read a line, not a dump.
MESSAGE_LENGTH = 2000
_SECONDS = re.compile(r"\d+(\.\d+)?")


class End(StrEnum):
    """What becomes of the task when a run ends early."""

    #: The task gets its next attempt after a pause.
    RETRY = "retry"
    #: The task has failed for good.
    FAIL = "fail"
    #: Somebody asked for the end.
    CANCEL = "cancel"
    #: This worker is going away: the task gets its next attempt at once, as if this one had not been.
    HAND_OVER = "hand_over"
    #: This process is being ended, nobody knows why: the same, but counted as a loss.
    LOST = "lost"
    #: The task is not ours any more, or the ledger cannot be reached: nothing may or can be written.
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run. `delay` is seconds until the next attempt; `outside_steps`: its error was of no step."""

    how: End
    error: Error
    delay: float = 0.0
    outside_steps: bool = False


CANCELLED = Ending(End.CANCEL, {"code": "cancelled", "message": "Cancelled"})
LEASE_LOST = Ending(End.GONE, {"code": "lease_lost", "message": "This run no longer holds the task"})
OVERTIME = Ending(End.FAIL, {"code": "soft_time_limit", "message": "The soft time limit was exceeded"})
SHUT_DOWN = Ending(
    End.HAND_OVER, {"code": "worker_stopped", "message": "The worker was shut down; the run goes on elsewhere"}
)
TERMINATED = Ending(End.LOST, {"code": "worker_lost", "message": "The process of the run was ended"})


class PermanentError(Exception):
    """What an agent raises when another try would fail the same way: the task fails at once.

    Args:
        message: one line for whoever watches the task.
        code: name of the failure for programs, such as `no_such_page`.
    """

    def __init__(self, message: str, code: str = "permanent") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class RunStopped(KeyboardInterrupt):
    """The run is over. Raised through the agent's code; not an `Exception`, so that no `except Exception` keeps it.

    A KeyboardInterrupt, because of nothing else lets an event loop go: `gather(return_exceptions=True)` keeps the rest.

    An agent may tidy up in `finally`. One that swallows it changes nothing: the next call of its context raises again.
    """

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.error["message"])
        self.ending = ending


class WorkerStopping(RunStopped):
    """The worker stops, and this step has gone on for `shutdown_grace` since. Raised once, in the step.

    A step may catch it by this name, tidy up, and return what it has: that is saved, and another worker goes on after
    it. One that does not is performed again there, by no fewer tries than before.
    """

    def __init__(self) -> None:
        super().__init__(SHUT_DOWN)


def describe(fault: BaseException, code: str = "exception") -> Error:
    """Return `{code, message, type}` for an exception; never raises, whatever the exception is made of."""
    kind = tell(_name_of(fault))
    try:
        # Not isinstance: an exception may lie about its class, or raise when it is asked for it.
        if issubclass(type(fault), PermanentError):
            name, message = tell(getattr(fault, "code", "")), tell(getattr(fault, "message", ""))
            return {"code": name or "permanent", "message": message or "Failed"}
        if issubclass(type(fault), SystemExit | KeyboardInterrupt):
            given = BaseException.__getattribute__(fault, "args")
            return {"code": code, "message": tell(f"{kind}: {tell(given[0]) if given else ''}"), "type": kind}
        return {"code": code, "message": tell(fault) or kind, "type": kind}
    except BaseException:  # an exception that cannot even be printed must still be told
        return {"code": code, "message": kind, "type": kind}


def log_fault(logger: Any, event: str, fault: BaseException, **more: Any) -> None:
    """Log an exception with its traceback, or without where the exception does not let itself be printed."""
    try:
        logger.warning(event, exc_info=fault, **more)
    except BaseException:
        logger.warning(event, type=tell(_name_of(fault)), **more)


def pause(fault: BaseException, tried: int, settings: Settings) -> float:
    """Return the seconds until the next try: those of `backoff`, or more where the fault asks for more."""
    return max(backoff(tried, settings), min(asked_pause(fault), settings.retry_after_max))


def asked_pause(fault: BaseException) -> float:
    """Return the seconds that a fault asks to wait for: its `retry_after`, or the Retry-After of its `response`.

    Others' exceptions have these too, such as httpx's and requests'. 0 when there is neither, or nothing readable.
    """
    try:
        asked: Any = getattr(fault, "retry_after", None)
        if asked is None:
            asked = fault.response.headers.get("retry-after")  # type: ignore[attr-defined]
        if isinstance(asked, timedelta):
            asked = asked.total_seconds()
        seconds = float(asked) if not isinstance(asked, str) or _SECONDS.fullmatch(asked.strip()) else _until(asked)
    except Exception:  # whatever it is, it is no pause
        return 0.0
    return seconds if seconds > 0 and math.isfinite(seconds) else 0.0


def _until(moment: str) -> float:
    return parsedate_to_datetime(moment).timestamp() - time.time()


def _name_of(fault: BaseException) -> str:
    # Past whatever its metaclass makes of it.
    name: str = type.__dict__["__name__"].__get__(type(fault))
    return name


def internal(fault: SQLAlchemyError, attempt: int, settings: Settings) -> Ending:
    """Return how a run ends when the database refused a write of ours: as nobody's error, to be tried again.

    The log has the fault under the id that the error names; what it says of statements and values is for nobody else.
    Only a refused value (`DataError`) ends the task: the next run would come with the same one.
    """
    fault_id = uuid.uuid4().hex[:12]
    log.error("database_fault", fault_id=fault_id, attempt=attempt, exc_info=fault)
    error = {"code": "internal", "message": f"The database refused a write of this run; the log has it as {fault_id}"}
    if isinstance(fault, DataError):
        return Ending(End.FAIL, error)
    return Ending(End.RETRY, error, delay=backoff(attempt, settings))


def backoff(tried: int, settings: Settings) -> float:
    """Return the seconds until the next try: the span doubles with each one, and the moment in it is left to chance."""
    return random.uniform(0.0, min(settings.backoff_base * 2.0 ** (tried - 1), settings.backoff_max))


def tell(value: object) -> str:
    """Return text that every database and client takes: no NUL, no lone surrogate, not endless. Never raises."""
    try:
        # Not by the methods of its class, where it is one of somebody's.
        cut = str.__getitem__(str(value), slice(MESSAGE_LENGTH + 1))
    except BaseException:  # nor is there a limit to what a `__str__` may raise
        return ""
    text: str = plain(cut)
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"
