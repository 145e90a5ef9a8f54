"""Closes the objects that a test makes when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import ParamSpec, Protocol, TypeVar


class Closable(Protocol):
    def close(self) -> object:
        """Free what the object holds."""


P = ParamSpec("P")
T = TypeVar("T", bound=Closable)


def closing_all(make: Callable[P, T]) -> Iterator[Callable[P, T]]:
    """Yield a function that does what `make` does, for a fixture; close its results at the end, the latest first."""
    with ExitStack() as stack:

        def make_closed(*args: P.args, **named: P.kwargs) -> T:
            return stack.enter_context(closing(make(*args, **named)))

        yield make_closed
