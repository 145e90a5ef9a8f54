"""Decides how a run ends after an exception: another attempt after a delay, or failure."""

from __future__ import annotations

import math
import random
import re
import time
import uuid
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import DataError, SQLAlchemyError

from swallowtail.app.core.config.settings import Settings
from swallowtail.workers.run.error_text import describe
from swallowtail.workers.run.outcomes import TIMED_OUT, WORKER_STOPPED, OutcomeKind, PermanentError, RunOutcome
from swallowtail.workers.run.run_state import RunState

log = structlog.get_logger(__name__)

_SECONDS = re.compile(r"\d+(\.\d+)?")


def outcome_of_error(
    error: BaseException, state: RunState, settings: Settings, *, tried: int, tries: int, step: str | None = None
) -> RunOutcome:
    """Return how the run ends after the `tried`th exception of a step, or of code outside of steps."""
    if state.timed_out or isinstance(error, SoftTimeLimitExceeded):
        return TIMED_OUT
    described = describe(error)
    if isinstance(error, PermanentError):
        return RunOutcome(OutcomeKind.FAIL, described)
    if state.stop_raised:
        # The exception is most likely a consequence of WorkerStopping.
        return WORKER_STOPPED
    if step is not None:
        described = {**described, "step": step, "tries": tried}
    if tried >= tries:
        return RunOutcome(OutcomeKind.FAIL, described)
    return RunOutcome(
        OutcomeKind.RETRY, described, delay=retry_delay(error, tried, settings), outside_steps=step is None
    )


def outcome_of_database_error(error: SQLAlchemyError, attempt: int, settings: Settings) -> RunOutcome:
    """Return how the run ends when the database refuses a write of ours.

    The log holds the error under the id that the task's error names; its statements and values are for operators only.
    Only a refused value (`DataError`) fails the task: the next run would write the same value.
    """
    error_id = uuid.uuid4().hex[:12]
    log.error("database_fault", fault_id=error_id, attempt=attempt, exc_info=error)
    described = {
        "code": "internal",
        "message": f"The database refused a write of this run; the log has it as {error_id}",
    }
    if isinstance(error, DataError):
        return RunOutcome(OutcomeKind.FAIL, described)
    return RunOutcome(OutcomeKind.RETRY, described, delay=backoff(attempt, settings))


def retry_delay(error: BaseException, tried: int, settings: Settings) -> float:
    """Return the seconds until the next try: those of `backoff`, or more if the exception asks for more."""
    return max(backoff(tried, settings), min(requested_delay(error), settings.retry_after_max))


def backoff(tried: int, settings: Settings) -> float:
    """Return a random delay in seconds, below a limit that doubles with each try."""
    return random.uniform(0.0, min(settings.backoff_base * 2.0 ** (tried - 1), settings.backoff_max))


def requested_delay(error: BaseException) -> float:
    """Return the seconds of an exception's `retry_after`, or of the Retry-After of its `response`; 0 without either."""
    try:
        delay: Any = getattr(error, "retry_after", None)
        if delay is None:
            delay = error.response.headers.get("retry-after")  # type: ignore[attr-defined]
        if isinstance(delay, timedelta):
            delay = delay.total_seconds()
        is_date = isinstance(delay, str) and not _SECONDS.fullmatch(delay.strip())
        seconds = parsedate_to_datetime(delay).timestamp() - time.time() if is_date else float(delay)
    except Exception:  # it is not a delay
        return 0.0
    return seconds if seconds > 0 and math.isfinite(seconds) else 0.0
