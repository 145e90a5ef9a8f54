"""Decides when a stream asks the database for missing events, and records how the gap was found."""

from __future__ import annotations

import time

from swallowtail.app.delivery.metrics import GAP_FILLS, READS

#: How long, in seconds, an early event waits for the ones before it: publishers overtake each other.
GAP_PATIENCE = 0.02
#: A moment in the past: the database is asked at once, whether or not an event is known to be missing.
NOW = 0.0


class Gap:
    """The events between the end of the buffer and the highest known number. Not safe for threads."""

    def __init__(self) -> None:
        #: When to ask for what follows the buffer; None when no event is known to be missing.
        self.ask_at: float | None = None
        #: How the gap was found; None once that has been counted.
        self._cause: str | None = None

    def ask_now(self, cause: str | None) -> None:
        """Ask at once. Without a cause, it is the rest of an earlier request."""
        self.ask_at, self._cause = NOW, cause

    def expect(self, is_open: bool, cause: str | None) -> None:
        """Record whether events are missing; if they do not arrive soon, the database is asked."""
        if not is_open:
            if self.ask_at is not None and self.ask_at != NOW:
                GAP_FILLS.labels("early_hint").inc()
                self.ask_at = None
        elif self.ask_at is None:
            self.ask_at, self._cause = time.monotonic() + GAP_PATIENCE, cause

    def is_due(self, now: float) -> bool:
        """Return whether to ask now, and count it if so."""
        if self.ask_at is None or self.ask_at > now:
            return False
        READS.labels("gap").inc()
        if self._cause is not None:
            GAP_FILLS.labels(self._cause).inc()
            self._cause = None
        return True

    def close(self) -> None:
        """Record that no event is known to be missing any more."""
        self.ask_at = None
