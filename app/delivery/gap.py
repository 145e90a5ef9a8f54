"""What a watch lacks: when to ask the database for it, and what showed that it is missing. Inside `delivery/instance_stream`."""

from __future__ import annotations

import time

from swallowtail.app.delivery.metrics import GAP_FILLS, READS

#: How long, in seconds, an event that came early waits for the ones before it: publishers overtake each other.
GAP_PATIENCE = 0.02
#: A moment long ago: the database is to be asked now, whether or not anything is known to be missing.
NOW = 0.0


class Gap:
    """Between the ring's end and what is known to exist. Not safe for threads: its watch has the lock.

    `ask_at` is when to ask what follows the ring; None when nothing is known to be missing.
    """

    def __init__(self) -> None:
        self.ask_at: float | None = None
        #: What showed it; None when that has been counted.
        self._cause: str | None = None

    def ask_now(self, cause: str | None) -> None:
        """Ask at once. No cause: it is the rest of what was asked for already."""
        self.ask_at, self._cause = NOW, cause

    def expect(self, is_open: bool, cause: str | None) -> None:
        """Note whether anything is missing; if it does not arrive by itself soon, the database is asked."""
        if not is_open:
            if self.ask_at is not None and self.ask_at != NOW:
                GAP_FILLS.labels("early_hint").inc()
                self.ask_at = None
        elif self.ask_at is None:
            self.ask_at, self._cause = time.monotonic() + GAP_PATIENCE, cause

    def is_due(self, now: float) -> bool:
        """Tell whether to ask; counts it if so."""
        if self.ask_at is None or self.ask_at > now:
            return False
        READS.labels("gap").inc()
        if self._cause is not None:
            GAP_FILLS.labels(self._cause).inc()
            self._cause = None
        return True

    def close(self) -> None:
        """Note that nothing is known to be missing any more."""
        self.ask_at = None
