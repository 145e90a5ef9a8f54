"""Which step a piece of text is of, from whatever thread it comes. Beside `workers/run/context`.

A step is found in the context (`contextvars`) of whoever asks, and `workers/run/threads` gives threads the context of those
who started them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from swallowtail.app.core.privacy.stream_redaction import TextStream

_current: ContextVar[OpenStep | None] = ContextVar("swallowtail_step", default=None)


@dataclass(slots=True, eq=False)
class OpenStep:
    """A step that is being performed, and how far its text has come with its readers."""

    key: str
    id: str
    text: TextStream
    offset: int = 0
    rev: int = 0
    parent: OpenStep | None = None
    #: Held while text of it is passed on: pieces from several threads stay whole, and in one order.
    lock: threading.Lock = field(default_factory=threading.Lock)


class OpenSteps:
    """The steps of one run that are being performed."""

    def __init__(self) -> None:
        self._steps: list[OpenStep] = []

    def __bool__(self) -> bool:
        return bool(self._steps)

    @contextmanager
    def performing(self, step: OpenStep) -> Iterator[None]:
        """In this block, and in what is started in it, the step is open."""
        step.parent = _current.get()
        self._steps.append(step)
        token = _current.set(step)
        try:
            yield
        finally:
            _current.reset(token)
            with step.lock:
                self._steps.remove(step)

    def holds(self, step: OpenStep) -> bool:
        """Tell whether the step is still being performed."""
        return step in self._steps

    def find(self) -> OpenStep:
        """Return the step that the caller belongs to.

        Raises:
            RuntimeError: there is none, or nobody can tell which.
        """
        step, steps = _current.get(), list(self._steps)
        if step is not None:
            return step
        if not steps:
            raise RuntimeError("text() belongs inside a step")
        if all(inner.parent is outer for outer, inner in itertools.pairwise(steps)):
            return steps[-1]
        raise RuntimeError("several steps are open; run this thread in `contextvars.copy_context()` of its own step")
