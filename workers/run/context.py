"""Stop 7 of 12: The context that an agent receives: it performs steps, reports progress and streams text.

An agent is a function `(ctx, task_input)`. Work that is long, costly or may fail belongs into `ctx.step(key, fn, …)`:
its output is saved in the same transaction as its event, so a killed run resumes at its first unfinished step, and a
failed step is tried again by another run after a delay that occupies no worker. Code outside of steps runs once per
attempt: it must reach the same steps with the same keys each time, and an error in it ends the task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.runs import RunWriter
from swallowtail.app.core.privacy.redaction import redact_text
from swallowtail.app.core.privacy.stream_redaction import TextStream
from swallowtail.app.core.validation import CheckedJson
from swallowtail.context import Context
from swallowtail.workers.run.error_text import log_exception, safe_text
from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.json_output import encode, to_text
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.open_steps import OpenStep, OpenSteps
from swallowtail.workers.run.outcomes import WORKER_STOPPED, RunOutcome, RunStopped
from swallowtail.workers.run.retry_policy import outcome_of_error
from swallowtail.workers.run.step_names import find_naming_error, find_work_error, to_percent
from swallowtail.workers.run.step_writer import StepWriter, Write, write_once


class RunContext(Context):
    """The context of a run in a worker: it writes to the ledger and streams live state."""

    def __init__(
        self,
        claim: Claim,
        runs: RunWriter,
        settings: Settings,
        interrupts: Interrupts,
        live: LiveProgress,
        write: Write = write_once,
    ) -> None:
        self.task_id = claim.task_id
        self.instance_id = claim.instance_id
        self.attempt = claim.attempt
        self.logger = structlog.get_logger("agent").bind(
            task_id=claim.task_id, instance_id=claim.instance_id, attempt=claim.attempt, kind=claim.kind
        )
        self._claim = claim
        self._settings = settings
        self._interrupts = interrupts
        self._state = interrupts.state
        self._live = live
        self._writer = StepWriter(claim, runs, settings, interrupts.state, live, write)
        self._used_keys: set[str] = set()
        self._open = OpenSteps()

    @property
    def outcome(self) -> RunOutcome | None:
        """How the run ends, once that is decided."""
        return self._writer.outcome

    def step(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        agent: str = "Agent",
        action: str = "work",
        progress: float | None = None,
        message: str | None = None,
        tries: int | None = None,
    ) -> Any:
        """Perform `fn(*args)` as a step, or return the output that was saved when it was performed before."""
        with self._guarded():
            self._use_key(key, agent, action)
            self._writer.reject(find_work_error(fn, progress, tries))
            redacted = None if message is None else redact_text(safe_text(message), self._claim.rules)
            saved = self._claim.saved.get(key)
            if saved is not None:
                return saved.output
            wrote = self._writer.start(key, agent, action)
            step = OpenStep(key, wrote.step_id, TextStream(self._claim.rules))
            output, outcome = self._perform(step, fn, args, wrote.tries, tries)
            if outcome is WORKER_STOPPED:
                self._writer.stop(WORKER_STOPPED)
            if outcome is not None:
                self._writer.fail(key, outcome)
            assert output is not None
            self._writer.finish(key, output, progress, redacted)
            return output.value

    def skip(self, key: str, agent: str, action: str, reason: str) -> None:
        """Record that a step is not needed, and why."""
        with self._guarded():
            self._use_key(key, agent, action)
            if key not in self._claim.saved:
                self._writer.skip(key, agent, action, safe_text(reason))

    def progress(self, percent: float, message: str = "") -> None:
        """Report how far the task is."""
        with self._guarded():
            if to_percent(percent) is None:
                self._writer.reject("progress must be a number from 0 to 100")
            self._live.report(percent, redact_text(safe_text(message), self._claim.rules))

    def text(self, chunk: str) -> None:
        """Stream a piece of the open step's text, without what may be the beginning of a secret."""
        with self._guarded():
            step = self._open.find()
            with step.lock:
                if not self._open.holds(step):
                    raise RuntimeError("the step of this text is over")
                step.send(step.text.feed(to_text(chunk)), self._claim, self._settings.inline_output_bytes)

    def check(self) -> None:
        """Raise RunStopped if the run has to end."""
        with self._guarded():
            pass

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._interrupts.deferred():
            if self.outcome is not None:
                raise RunStopped(self.outcome)
            self._state.check(between_steps=not self._open)
            yield
            self._state.check()

    def _use_key(self, key: str, agent: str, action: str) -> None:
        self._writer.reject(find_naming_error(key, agent, action))
        if key in self._used_keys:
            self._writer.reject(f"step {key!r} was already performed in this run")
        self._used_keys.add(key)

    def _perform(
        self, step: OpenStep, fn: Callable[..., Any], args: tuple[Any, ...], tried: int, tries: int | None
    ) -> tuple[CheckedJson | None, RunOutcome | None]:
        # A function of its own: when it returns, the exception is freed, and with it the frames that hold the memory
        # that a MemoryError was about.
        try:
            with self._open.performing(step):
                return encode(self._interrupts.call(fn, *args), self._settings), None
        except RunStopped as stopped:
            self._writer.outcome = self._writer.outcome or stopped.outcome
            raise
        except BaseException as error:  # sys.exit in a step fails the step, not the worker
            log_exception(self.logger, "step_failed", error, step=step.key, tries=tried)
            most = tries or self._settings.step_tries
            return None, outcome_of_error(error, self._state, self._settings, tried=tried, tries=most, step=step.key)
        finally:
            step.send(step.text.finish(), self._claim, self._settings.inline_output_bytes)
