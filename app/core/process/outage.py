"""Logs an outage of a service once when it begins and once when it ends, however often it is noticed between."""

from __future__ import annotations

from typing import Any


class OutageLog:
    """The outages of one service, as one process sees them."""

    def __init__(self, log: Any, lost: str, back: str) -> None:
        """`lost` and `back` are the events; the first is a warning with its reason."""
        self._log = log
        self._lost, self._back = lost, back
        self._is_lost = False

    def begin(self, reason: object) -> None:
        """Log the reason, unless the outage is known."""
        if not self._is_lost:
            self._is_lost = True
            self._log.warning(self._lost, reason=str(reason))

    def end(self) -> None:
        """Log that the service responds, if it did not before."""
        if self._is_lost:
            self._is_lost = False
            self._log.info(self._back)
