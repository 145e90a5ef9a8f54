"""A fake of the interrupts of a run, for the tests of workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from swallowtail.workers.run.context import RunStopped
from swallowtail.workers.run.outcomes import CANCELLED, SHUT_DOWN, Ending


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
