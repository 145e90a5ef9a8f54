"""Waits for a condition of the running system, with a generous limit and a clear error."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

#: Seconds a test waits for anything before it gives up. Far above what a slow machine needs: it is never a measurement.
PATIENCE = 60.0

T = TypeVar("T")


class GaveUp(AssertionError):
    """A condition did not come true in time; the message says which one and what was seen last."""


def wait_until(
    condition: Callable[[], T], what: str, *, timeout: float = PATIENCE, every: float = 0.02, seen: object = None
) -> T:
    """Call `condition` until it returns something true, and return that.

    `what` completes the sentence "gave up waiting until …". `seen`, when callable, is asked for the last state seen, to
    put it into the complaint. Raises GaveUp after `timeout` seconds. Exceptions of the condition pass through.
    """
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            last = seen() if callable(seen) else value
            raise GaveUp(f"gave up after {timeout:.0f} s waiting until {what}; last seen: {last!r}")
        time.sleep(every)
