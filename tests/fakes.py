"""Fakes for tests: typed stand-ins with the shape of the real thing and none of its machinery."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from swallowtail.app.core.events import plain
from swallowtail.workers.run.context import Context, RunStopped
from swallowtail.workers.run.outcomes import CANCELLED, SHUT_DOWN, Ending


@dataclass
class FakeStep:
    """One step as it was asked for; `status` is completed, failed, skipped, or replayed from the journal."""

    key: str
    agent: str
    action: str
    status: str
    output: Any = None
    progress: float | None = None
    message: str | None = None
    text: list[str] = field(default_factory=list)


class FakeContext(Context):
    """A `swallowtail.workers.run.context.Context` without database, broker or lease.

    It records every step in order (`steps`), round-trips outputs through JSON as the journal does, and returns what is
    in `journal` instead of running a step again: give one context's `journal` to the next to play a second attempt.

    Args:
        journal: outputs of finished steps by key; filled as steps finish.
        failures: exceptions by step key, each raised once, in order, in place of the step.
        cancel_in: key of the step in which `check`, `progress` and `text` raise RunStopped, as after a cancel.
        attempt: number of this attempt, from 1.
    """

    def __init__(  # the real one's parts have no counterpart here, so its constructor is not called
        self,
        *,
        journal: dict[str, Any] | None = None,
        failures: dict[str, list[BaseException]] | None = None,
        cancel_in: str | None = None,
        attempt: int = 1,
    ) -> None:
        self.task_id = "00000000-0000-4000-8000-000000000000"
        self.instance_id = "demo"
        self.attempt = attempt
        self.logger = logging.getLogger("tests.fake_context")
        self.journal: dict[str, Any] = {} if journal is None else journal
        self.steps: list[FakeStep] = []
        self.live: list[tuple[float, str]] = []
        self._failures = failures or {}
        self._cancel_in = cancel_in
        self._performed: FakeStep | None = None

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
        """Run and record a step, or return its journalled output.

        The step's own exception goes on through the agent, so that a test can see it (the journal raises RunStopped).
        """
        assert self._performed is None, f"step {key!r} starts inside step {self._performed and self._performed.key!r}"
        assert all(step.key != key for step in self.steps), f"step key {key!r} is used twice"
        step = FakeStep(key, agent, action, "failed", progress=progress, message=message)
        self.steps.append(step)
        if key in self.journal:
            step.status, step.output = "replayed", plain(self.journal[key])
            return step.output
        self._performed = step
        try:
            if self._failures.get(key):
                raise self._failures[key].pop(0)
            step.output = plain(fn(*args))
        finally:
            self._performed = None
        step.status = "completed"
        self.journal[key] = step.output
        return plain(step.output)

    def skip(self, key: str, agent: str, action: str, reason: str) -> None:
        """Record a skipped step."""
        self.steps.append(FakeStep(key, agent, action, "skipped", message=reason))

    def progress(self, percent: float, message: str = "") -> None:
        """Record live progress in `live`."""
        self.check()
        self.live.append((percent, message))

    def text(self, chunk: str) -> None:
        """Record a piece of streamed text with the open step."""
        self.check()
        assert self._performed is not None, "text() outside a step"
        self._performed.text.append(chunk)

    def check(self) -> None:
        """Raise RunStopped inside the step named by `cancel_in`."""
        if self._performed is not None and self._performed.key == self._cancel_in:
            raise RunStopped(CANCELLED)

    @property
    def story(self) -> list[tuple[str, str, str, str]]:
        """Every step in order as `(key, agent, action, status)`."""
        return [(step.key, step.agent, step.action, step.status) for step in self.steps]


class FakeWatch:
    """A `swallowtail.workers.run.context.Watch` that interrupts nothing; set `ending` to have the run stop at its next call.

    `written` holds, for each write that extended the lease, whether it found that a cancel was requested.
    """

    def __init__(self) -> None:
        self.ending: Ending | None = None
        self.overtime = False
        self.told = False
        #: The worker was told to stop.
        self.leaving = False
        self.written: list[bool] = []

    def closed(self) -> AbstractContextManager[None]:
        """Nothing is ever interrupted."""
        return nullcontext()

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Call it."""
        return fn(*args)

    def check(self, *, between: bool = False) -> None:
        """Raise RunStopped once `ending` is set, or, between two steps, `leaving`."""
        if between and self.leaving:
            raise RunStopped(SHUT_DOWN)
        if self.ending is not None:
            raise RunStopped(self.ending)

    @contextmanager
    def writing(self) -> Iterator[Callable[[bool], None]]:
        """Record the write; a cancel that it found ends the run."""

        def written(cancel_requested: bool) -> None:
            self.written.append(cancel_requested)
            if cancel_requested:
                self.ending = CANCELLED

        yield written
