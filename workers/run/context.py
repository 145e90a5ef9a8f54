"""What an agent is given: its context. On the road between `workers/run_task`, which calls it, and `core/ledger/runs`.

An agent is a function `(ctx, given)`. Whatever is long, costly or may fail belongs into `ctx.step(key, fn, …)`: its
output is saved in the same transaction as its event, so a run that is killed goes on at its first unfinished step, and
a step that failed is tried again, by another run, after a pause that holds no worker. The code outside of steps runs
once per attempt: it must come to the same steps, with the same keys, each time, and an error in it ends the task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NoReturn, Protocol

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import CancelRequested, Conflict, LeaseLost, Unavailable
from swallowtail.app.core.events import StepText
from swallowtail.app.core.ledger.runs import Beat, Claim, Wrote
from swallowtail.app.core.privacy.redaction import redact_text
from swallowtail.app.core.privacy.stream_redaction import TextStream
from swallowtail.app.core.validation import Checked
from swallowtail.workers.run.json_output import encode, to_text
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.open_steps import OpenStep, OpenSteps
from swallowtail.workers.run.outcomes import (
    CANCELLED,
    LEASE_LOST,
    OVERTIME,
    SHUT_DOWN,
    End,
    Ending,
    PermanentError,
    RunStopped,
    WorkerStopping,
    asked_pause,
    describe,
    internal,
    log_fault,
    pause,
    tell,
)
from swallowtail.workers.run.step_names import find_flaw, find_flaw_of_work, to_percent
from swallowtail.workers.signals import step_finished, step_started, text_produced

__all__ = ["Context", "PermanentError", "RunStopped", "Watch", "WorkerStopping", "Writes", "asked_pause"]


class Writes(Protocol):
    """What a context needs of `core/ledger/runs.RunLedger`."""

    def start_step(self, claim: Claim, key: str, agent: str, action: str) -> Wrote: ...  # noqa: D102

    def finish_step(  # noqa: D102
        self, claim: Claim, key: str, output: Any, *, progress: float | None = None, message: str | None = None
    ) -> Wrote: ...

    def skip_step(self, claim: Claim, key: str, agent: str, action: str, reason: str) -> Wrote: ...  # noqa: D102

    def fail_step(self, claim: Claim, key: str, error: dict[str, Any]) -> Wrote: ...  # noqa: D102

    def heartbeat(self, claim: Claim, progress: float, message: str) -> Beat: ...  # noqa: D102


class Watch(Protocol):
    """What a context needs of `workers/run/heartbeat.Pulse`: who may interrupt when, and whether the run may go on."""

    @property
    def overtime(self) -> bool:
        """The soft time limit has struck, whatever the agent made of it."""

    def closed(self) -> AbstractContextManager[None]:
        """In this block no signal interrupts; what came meanwhile strikes at its end."""

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call an agent's code, which signals may interrupt."""

    @property
    def told(self) -> bool:
        """The agent was told that its worker stops, whatever it made of it."""

    def check(self, *, between: bool = False) -> None:
        """Raise RunStopped when the run is to end; `between` two steps it ends when its worker stops, too."""

    @contextmanager
    def writing(self) -> Iterator[Callable[[bool], None]]:
        """Time a write that extends the lease; call what it gives with whether a cancel was requested."""


class Context:
    """An agent's hold on its run. Begin steps in the thread that the agent was called in; text may come from others.

    Attributes:
        task_id, instance_id: whose run this is.
        attempt: 1 for the task's first run, and so on.
        logger: a structured logger that names the task.
    """

    def __init__(self, claim: Claim, writes: Writes, settings: Settings, watch: Watch, live: LiveProgress) -> None:
        self.task_id = claim.task_id
        self.instance_id = claim.instance_id
        self.attempt = claim.attempt
        self.logger = structlog.get_logger("agent").bind(
            task_id=claim.task_id, instance_id=claim.instance_id, attempt=claim.attempt, kind=claim.kind
        )
        #: How the run is to end, once that is decided.
        self.ending: Ending | None = None
        self._claim = claim
        self._writes = writes
        self._settings = settings
        self._watch = watch
        self._live = live
        self._seen: set[str] = set()
        self._open = OpenSteps()

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
        """Perform `fn(*args)` as a step, or return what the journal saved when it was performed before.

        Args:
            key: names the step within its task; at most 200 characters, each used once.
            fn: the work; its output must have a JSON form of at most `max_output_bytes` and `max_json_depth` levels.
            agent: who performs it, such as `ContentCreator`.
            action: what is done, such as `generate_content`.
            progress: percent of the task that is done once this step is.
            message: what to tell watchers then.
            tries: how often to try, each in a run of its own; `step_tries` by default.

        When the soft time limit strikes, `fn` gets Celery's SoftTimeLimitExceeded, once. It may catch that and return
        what it has: the run goes on, and must end before the hard limit. Any exception from then on fails the task.

        Returns:
            The output as JSON gives it back: models are dicts, tuples are lists.

        Raises:
            RunStopped: the step failed (its task is tried again, or has failed), or the run is to end.
        """
        with self._closed():
            self._name(key, agent, action)
            self._refuse(find_flaw_of_work(fn, progress, tries))
            note = None if message is None else redact_text(tell(message), self._claim.rules)
            saved = self._claim.saved.get(key)
            if saved is not None:
                return saved.output
            wrote = self._start(key, agent, action)
            opened = OpenStep(key, wrote.step_id, TextStream(self._claim.rules))
            output, ending = self._try(opened, fn, args, wrote.tries, tries)
            if ending is SHUT_DOWN:
                self._stop(SHUT_DOWN)
            if ending is not None:
                self._fail(key, ending)
            assert output is not None
            self._finish(key, output, progress, note)
            return output.value

    def skip(self, key: str, agent: str, action: str, reason: str) -> None:
        """Record that a step is not needed, and why.

        Raises:
            RunStopped: the run is to end.
        """
        with self._closed():
            self._name(key, agent, action)
            if key not in self._claim.saved:
                self._catch_up()
                self._write(self._writes.skip_step, key, agent, action, tell(reason))
                self._settle(key, "skipped")

    def progress(self, percent: float, message: str = "") -> None:
        """Tell watchers how far the task is, 0 to 100, at no cost worth counting. Within an attempt it never goes back.

        Raises:
            RunStopped: the run is to end.
        """
        with self._closed():
            if to_percent(percent) is None:
                self._refuse("progress must be a number from 0 to 100")
            self._live.report(percent, redact_text(tell(message), self._claim.rules))

    def text(self, chunk: str) -> None:
        """Stream a piece of the open step's text to whoever watches this task; the step's output must hold it all.

        What may be the beginning of a secret waits for the next piece.

        Raises:
            RunStopped: the run is to end.
            RuntimeError: no step is open, or the one that this thread was started in is over.
        """
        with self._closed():
            step = self._open.find()
            with step.lock:
                if not self._open.holds(step):
                    raise RuntimeError("the step of this text is over")
                self._show(step, step.text.feed(to_text(chunk)))

    def check(self) -> None:
        """Return if the run may go on. Call it in long loops: a cancelled run then ends at once.

        Raises:
            RunStopped: the task was cancelled, its lease is lost, or the worker shuts down.
        """
        with self._closed():
            pass

    @contextmanager
    def _closed(self) -> Iterator[None]:
        with self._watch.closed():
            if self.ending is not None:
                raise RunStopped(self.ending)
            self._watch.check(between=not self._open)
            yield
            self._watch.check()

    def _name(self, key: str, agent: str, action: str) -> None:
        self._refuse(find_flaw(key, agent, action))
        if key in self._seen:
            self._refuse(f"step {key!r} was already performed in this run")
        self._seen.add(key)

    def _refuse(self, flaw: str | None) -> None:
        if flaw is not None:
            self._stop(Ending(End.FAIL, {"code": "bad_step", "message": flaw}))

    def _start(self, key: str, agent: str, action: str) -> Wrote:
        self._catch_up()
        wrote = self._write(self._writes.start_step, key, agent, action)
        step_started.send(sender=None, claim=self._claim, key=key, agent=agent, action=action, tries=wrote.tries)
        return wrote

    def _try(
        self, step: OpenStep, fn: Callable[..., Any], args: tuple[Any, ...], tried: int, tries: int | None
    ) -> tuple[Checked | None, Ending | None]:
        # A function of its own: when it returns, the exception is gone, and with it the frames that hold the memory
        # which a MemoryError was about.
        try:
            with self._open.performing(step):
                return self._encode(self._watch.call(fn, *args)), None
        except RunStopped as stopped:
            self.ending = self.ending or stopped.ending
            raise
        except BaseException as fault:  # sys.exit in a step fails the step, not the worker
            log_fault(self.logger, "step_failed", fault, step=step.key, tries=tried)
            return None, self._judge(step.key, fault, tried, tries or self._settings.step_tries)
        finally:
            self._show(step, step.text.finish())

    def _show(self, step: OpenStep, text: str) -> None:
        most = self._settings.inline_output_bytes
        for piece in [text[place : place + most] for place in range(0, len(text), most)]:
            step.rev += 1
            text_produced.send(
                sender=None,
                text=StepText(self.instance_id, self.task_id, step.id, self.attempt, step.rev, step.offset, piece),
            )
            step.offset += len(piece)

    def _judge(self, key: str, fault: BaseException, tried: int, tries: int) -> Ending:
        if self._watch.overtime or isinstance(fault, SoftTimeLimitExceeded):
            return OVERTIME
        error = describe(fault)
        if isinstance(fault, PermanentError):
            return Ending(End.FAIL, error)
        if self._watch.told:
            # Most likely what became of the interrupt.
            return SHUT_DOWN
        if tried >= tries:
            return Ending(End.FAIL, {**error, "step": key, "tries": tried})
        return Ending(End.RETRY, {**error, "step": key, "tries": tried}, delay=pause(fault, tried, self._settings))

    def _encode(self, output: Any) -> Checked:
        return encode(output, self._settings)

    def _fail(self, key: str, ending: Ending) -> None:
        self._catch_up()
        self._write(self._writes.fail_step, key, ending.error)
        self._settle(key, "failed")
        self._stop(ending)

    def _finish(self, key: str, output: Checked, progress: float | None, note: str | None) -> None:
        if progress is None:
            self._catch_up()
        else:
            progress = self._live.raise_to(progress, note)
        self._write(self._writes.finish_step, key, output, progress=progress, message=note)
        self._settle(key, "completed")

    def _settle(self, key: str, status: str) -> None:
        step_finished.send(sender=None, claim=self._claim, key=key, status=status)

    def _catch_up(self) -> None:
        """Put live progress on the row before an event that carries the row's: no watcher sees it go back."""
        pending = self._live.take_pending()
        if pending is not None:
            self._guard(self._writes.heartbeat, *pending)

    def _write(self, write: Callable[..., Wrote], *args: Any, **named: Any) -> Wrote:
        with self._watch.writing() as written:
            wrote: Wrote = self._guard(write, *args, **named)
            written(wrote.cancel_requested)
        self._live.follow(wrote.seq, wrote.epoch)
        return wrote

    def _guard(self, write: Callable[..., Any], *args: Any, **named: Any) -> Any:
        try:
            return write(self._claim, *args, **named)
        except LeaseLost:
            self._stop(LEASE_LOST)
        except CancelRequested:
            self._stop(CANCELLED)
        except Conflict as clash:
            self._refuse(clash.message)
        except Unavailable as away:
            self._stop(Ending(End.GONE, away.as_dict()))
        except SQLAlchemyError as fault:
            self._stop(internal(fault, self.attempt, self._settings))

    def _stop(self, ending: Ending) -> NoReturn:
        self.ending = ending
        raise RunStopped(ending)
