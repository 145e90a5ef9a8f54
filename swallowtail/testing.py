"""Runs an agent function in this process, without servers, and records its steps: for the tests of agents.

    from swallowtail.testing import FakeContext, run_agent

    def test_a_letter_is_written_and_signed():
        run = run_agent(greet, {"to": "Ann"})
        assert run.output == {"letter": "Dear Ann, … Yours"}
        assert run.summary == [
            ("draft", "Writer", "write", "completed"),
            ("sign", "Secretary", "sign", "completed"),
        ]

Play a retry by giving the journal of one run to the next:

    first = FakeContext(failures={"sign": [TimeoutError()]})
    with pytest.raises(TimeoutError):
        run_agent(greet, {"to": "Ann"}, context=first)
    second = run_agent(greet, {"to": "Ann"}, context=FakeContext(journal=first.journal, attempt=2))
    assert [step.status for step in second.steps] == ["replayed", "completed"]
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from swallowtail.context import Context
from swallowtail.extras import requires_extra
from swallowtail.workers.run.outcomes import CANCELLED, RunStopped

with requires_extra("swallowtail.testing"):
    from swallowtail.app.core.events import plain

__all__ = ["AgentRun", "FakeContext", "RecordedStep", "RunStopped", "run_agent"]


@dataclass
class RecordedStep:
    """One step in the order in which the agent asked for it; `status` is completed, failed, skipped or replayed."""

    key: str
    agent: str
    action: str
    status: str
    output: Any = None
    progress: float | None = None
    message: str | None = None
    #: The pieces of text that the step streamed.
    text: list[str] = field(default_factory=list)


class FakeContext(Context):
    """A context without database, broker and lease.

    It records every step in `steps` and live progress in `live`. It converts outputs to JSON and back as the journal
    does, and returns what is in `journal` instead of running a step again.

    Args:
        journal: outputs of finished steps by key; each step adds its own.
        failures: exceptions by step key. Each is raised once, in order, in place of the step.
        cancel_in: key of the step in which `check`, `progress` and `text` raise RunStopped, as after a cancel.
        attempt: number of this attempt, from 1.
    """

    def __init__(  # does not call the constructor of Context, which needs a claim and a database
        self,
        *,
        journal: dict[str, Any] | None = None,
        failures: dict[str, list[BaseException]] | None = None,
        cancel_in: str | None = None,
        attempt: int = 1,
    ) -> None:
        self.task_id = "00000000-0000-4000-8000-000000000000"
        self.instance_id = "test"
        self.attempt = attempt
        self.logger = logging.getLogger("swallowtail.testing")
        self.journal: dict[str, Any] = {} if journal is None else journal
        self.steps: list[RecordedStep] = []
        self.live: list[tuple[float, str]] = []
        self._failures = failures or {}
        self._cancel_in = cancel_in
        self._running: RecordedStep | None = None

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
        """Run and record a step, or return its output from the journal.

        An exception of the step propagates through the agent, where a worker's context raises RunStopped instead.
        """
        assert self._running is None, f"step {key!r} starts inside step {self._running and self._running.key!r}"
        assert all(step.key != key for step in self.steps), f"step key {key!r} is used twice"
        step = RecordedStep(key, agent, action, "failed", progress=progress, message=message)
        self.steps.append(step)
        if key in self.journal:
            step.status, step.output = "replayed", plain(self.journal[key])
            return step.output
        self._running = step
        try:
            if self._failures.get(key):
                raise self._failures[key].pop(0)
            step.output = plain(fn(*args))
        finally:
            self._running = None
        step.status = "completed"
        self.journal[key] = step.output
        return plain(step.output)

    def skip(self, key: str, agent: str, action: str, reason: str) -> None:
        """Record a skipped step."""
        self.steps.append(RecordedStep(key, agent, action, "skipped", message=reason))

    def progress(self, percent: float, message: str = "") -> None:
        """Record live progress."""
        self.check()
        self.live.append((percent, message))

    def text(self, chunk: str) -> None:
        """Record a piece of streamed text with the open step."""
        self.check()
        assert self._running is not None, "text() is called outside a step"
        self._running.text.append(chunk)

    def check(self) -> None:
        """Raise RunStopped inside the step that `cancel_in` names."""
        if self._running is not None and self._running.key == self._cancel_in:
            raise RunStopped(CANCELLED)

    @property
    def summary(self) -> list[tuple[str, str, str, str]]:
        """Every step in order as `(key, agent, action, status)`."""
        return [(step.key, step.agent, step.action, step.status) for step in self.steps]


@dataclass(frozen=True)
class AgentRun:
    """What one call of an agent returned, and the context that recorded its steps."""

    output: Any
    context: FakeContext

    @property
    def steps(self) -> list[RecordedStep]:
        """The recorded steps, in order."""
        return self.context.steps

    @property
    def summary(self) -> list[tuple[str, str, str, str]]:
        """Every step in order as `(key, agent, action, status)`."""
        return self.context.summary


def run_agent(
    function: Callable[[Context, Any], Any], payload: Any = None, *, context: FakeContext | None = None
) -> AgentRun:
    """Validate the input and call an agent as a worker does.

    Args:
        function: a function with the `agent` decorator.
        payload: its input, as JSON or as an instance of its input model.
        context: by default a new FakeContext.

    Raises:
        pydantic.ValidationError: the input does not match the agent's model.
        Exception: any that the agent or one of its steps raises.
    """
    used = FakeContext() if context is None else context
    model = function.agent_spec.input_model  # type: ignore[attr-defined]
    return AgentRun(plain(function(used, model.model_validate({} if payload is None else payload))), used)
