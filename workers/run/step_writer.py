"""Writes the steps of a run to the ledger, and turns every refusal into the outcome of the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NoReturn

from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import CancelRequested, Conflict, LeaseLost, Unavailable
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.runs import RunWriter, StepWrite
from swallowtail.app.core.validation import CheckedJson
from swallowtail.signals import send, step_finished, step_started
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcomes import CANCELLED, LEASE_LOST, OutcomeKind, RunOutcome, RunStopped
from swallowtail.workers.run.retry_policy import outcome_of_database_error
from swallowtail.workers.run.run_state import RunState

#: Performs a write; `database_wait.DatabaseWait.write` repeats it during an outage.
Write = Callable[[Callable[[], Any]], Any]


def write_once(write: Callable[[], Any]) -> Any:
    """Perform a write without waiting for a database that is away."""
    return write()


class StepWriter:
    """The writes of one run's steps. Each raises RunStopped when the run has to end."""

    def __init__(
        self, claim: Claim, runs: RunWriter, settings: Settings, state: RunState, live: LiveProgress, write: Write
    ) -> None:
        self.outcome: RunOutcome | None = None
        self._claim = claim
        self._runs = runs
        self._settings = settings
        self._state = state
        self._live = live
        self._perform = write

    def start(self, key: str, agent: str, action: str) -> StepWrite:
        """Open a step."""
        self._write_pending_progress()
        wrote = self._write(self._runs.start_step, key, agent, action)
        send(step_started, None, claim=self._claim, key=key, agent=agent, action=action, tries=wrote.tries)
        return wrote

    def finish(self, key: str, output: CheckedJson, progress: float | None, message: str | None) -> None:
        """Save the output of a step."""
        if progress is None:
            self._write_pending_progress()
        else:
            progress = self._live.raise_to(progress, message)
        self._write(self._runs.finish_step, key, output, progress=progress, message=message)
        self._report_end(key, "completed")

    def skip(self, key: str, agent: str, action: str, reason: str) -> None:
        """Record that a step is not needed."""
        self._write_pending_progress()
        self._write(self._runs.skip_step, key, agent, action, reason)
        self._report_end(key, "skipped")

    def fail(self, key: str, outcome: RunOutcome) -> NoReturn:
        """Record that this try of a step failed, and end the run."""
        self._write_pending_progress()
        self._write(self._runs.fail_step, key, outcome.error)
        self._report_end(key, "failed")
        self.stop(outcome)

    def reject(self, problem: str | None) -> None:
        """End the run if a step is used in a way that cannot work."""
        if problem is not None:
            self.stop(RunOutcome(OutcomeKind.FAIL, {"code": "bad_step", "message": problem}))

    def stop(self, outcome: RunOutcome) -> NoReturn:
        """End the run."""
        self.outcome = outcome
        raise RunStopped(outcome)

    def _report_end(self, key: str, status: str) -> None:
        send(step_finished, None, claim=self._claim, key=key, status=status)

    def _write_pending_progress(self) -> None:
        """Store live progress before an event that carries the row's progress: no client sees it decrease."""
        pending = self._live.take_pending()
        if pending is not None:
            self._guard(self._runs.heartbeat, *pending)

    def _write(self, write: Callable[..., StepWrite], *args: Any, **named: Any) -> StepWrite:
        began = time.monotonic()
        wrote: StepWrite = self._guard(write, *args, **named)
        self._state.extend(began, wrote.cancel_requested)
        self._live.note_event(wrote.seq, wrote.epoch)
        return wrote

    def _guard(self, write: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return self._perform(lambda: write(self._claim, *args, **named))
        except LeaseLost:
            self.stop(LEASE_LOST)
        except CancelRequested:
            self.stop(CANCELLED)
        except Conflict as conflict:
            self.reject(conflict.message)
        except Unavailable as unavailable:
            self.stop(RunOutcome(OutcomeKind.ABANDON, unavailable.as_dict()))
        except SQLAlchemyError as error:
            self.stop(outcome_of_database_error(error, self._claim.attempt, self._settings))
