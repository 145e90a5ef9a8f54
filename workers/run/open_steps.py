"""Finds the step that a piece of streamed text belongs to, in any thread.

The current step is a context variable; `workers/runtime/thread_context` lets threads inherit the context of the code
that starts them.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from swallowtail.app.core.events import TextPiece
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.privacy.stream_redaction import TextStream
from swallowtail.signals import send, text_produced

_current: ContextVar[OpenStep | None] = ContextVar("swallowtail_step", default=None)


@dataclass(slots=True, eq=False)
class OpenStep:
    """A step that is being performed, and how much of its text was sent."""

    key: str
    id: str
    text: TextStream
    offset: int = 0
    rev: int = 0
    parent: OpenStep | None = None
    #: Held while text is sent: pieces from several threads stay whole and in one order.
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, text: str, claim: Claim, longest: int) -> None:
        """Publish text in pieces of at most `longest` characters."""
        for piece in [text[start : start + longest] for start in range(0, len(text), longest)]:
            self.rev += 1
            produced = TextPiece(claim.instance_id, claim.task_id, self.id, claim.attempt, self.rev, self.offset, piece)
            send(text_produced, None, text=produced)
            self.offset += len(piece)


class OpenSteps:
    """The steps of one run that are being performed."""

    def __init__(self) -> None:
        self._steps: list[OpenStep] = []

    def __bool__(self) -> bool:
        return bool(self._steps)

    @contextmanager
    def performing(self, step: OpenStep) -> Iterator[None]:
        """Make the step current in this block and in threads that are started in it."""
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
        """Return whether the step is still being performed."""
        return step in self._steps

    def find(self) -> OpenStep:
        """Return the step that the caller belongs to. Raises RuntimeError without exactly one."""
        step, steps = _current.get(), list(self._steps)
        if step is not None:
            return step
        if not steps:
            raise RuntimeError("text() belongs inside a step")
        if all(inner.parent is outer for outer, inner in itertools.pairwise(steps)):
            return steps[-1]
        raise RuntimeError("several steps are open; run this thread in `contextvars.copy_context()` of its own step")
