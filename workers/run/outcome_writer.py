"""Writes how a run ended to the ledger: its result, or the outcome that ended it early."""

from __future__ import annotations

from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.errors import LeaseLost, SwallowtailError, Unavailable
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.states import TaskStatus
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcomes import OutcomeKind, RunOutcome
from swallowtail.workers.run.retry_policy import outcome_of_database_error
from swallowtail.workers.run.step_writer import Write, write_once

log = structlog.get_logger(__name__)


class OutcomeWriter:
    """Writes the end of one run."""

    def __init__(self, rt: Runtime, claim: Claim, live: LiveProgress) -> None:
        self._rt = rt
        self._claim = claim
        self._live = live

    def write(self, result: Any, outcome: RunOutcome | None, perform: Write = write_once) -> TaskStatus | None:
        """Write a result, or an outcome without one. Returns the task's new status, None if it was not written."""
        try:
            status = self._write(result, outcome, perform)
        except LeaseLost:
            status = None
        except Unavailable as unavailable:
            log.error("end_not_written", reason=unavailable.message)
            return None
        except SQLAlchemyError as error:
            status = self._write_database_error(
                outcome_of_database_error(error, self._claim.attempt, self._rt.settings)
            )
        except Exception:
            # The database refused the result: a task that fails is better than one that is run again and again.
            log.exception("outcome_not_stored")
            failure = {"code": "internal", "message": "The end of the run could not be stored"}
            status = self._rt.runs.fail(self._claim, failure)
        log.info("run_ended", status=status, outcome=outcome.kind.value if outcome else "complete")
        return status

    def write_before_kill(self, outcome: RunOutcome) -> None:
        """Write an outcome, and publish it before this process is killed."""
        self.write(None, outcome)
        if self._rt.publisher is not None:
            self._rt.publisher.close()

    def _write_database_error(self, outcome: RunOutcome) -> TaskStatus | None:
        """Write that the database refused the end; if it refuses that as well, the lease runs out."""
        try:
            return self._end(None, outcome)
        except (SwallowtailError, SQLAlchemyError) as error:
            log.error("end_not_written", reason=type(error).__name__)
            return None

    def _write(self, result: Any, outcome: RunOutcome | None, perform: Write) -> TaskStatus | None:
        if outcome is not None and outcome.kind is OutcomeKind.ABANDON:
            return None
        pending = self._live.take_pending()
        if pending is not None:
            perform(lambda: self._rt.runs.heartbeat(self._claim, *pending))
        status: TaskStatus = perform(lambda: self._end(result, outcome))
        return status

    def _end(self, result: Any, outcome: RunOutcome | None) -> TaskStatus:
        runs, claim = self._rt.runs, self._claim
        if outcome is None:
            return runs.complete(claim, result)
        if outcome.kind in (OutcomeKind.RETRY, OutcomeKind.REQUEUE):
            return runs.retry_later(claim, outcome.error, outcome.delay, outside_steps=outcome.outside_steps)
        if outcome.kind is OutcomeKind.FAIL:
            return runs.fail(claim, outcome.error)
        if outcome.kind is OutcomeKind.CANCEL:
            return runs.cancelled(claim)
        self._rt.proposals.lost(claim.task_id, claim.attempt, outcome.error)
        return TaskStatus.RETRYING
