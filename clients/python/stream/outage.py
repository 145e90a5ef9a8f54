"""Reports once when a stream loses its server, and once when the server is back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .feed import Feed

#: Gets the reason when the server is away, and None when it is back.
ReportConnection = Callable[[str | None], None]

#: What the reasons of the Socket.IO client mean.
_REASONS = {
    "server disconnect": "the server closed the connection",
    "transport close": "the server closed the connection",
    "transport error": "the server closed the connection",
    "ping timeout": "the server is silent",
}


class Outage:
    """Whether the server of a stream is away."""

    def __init__(self, report: ReportConnection | None) -> None:
        self._report = report
        self._is_away = False

    def look_at(self, feed: Feed) -> None:
        """Begin or end the outage by the connection of a feed."""
        # Each loss is reported once: without another connection, the log may be read by REST.
        lost_by, feed.lost_by = feed.lost_by, None
        if feed.is_live:
            self.end()
        elif lost_by is not None:
            self.begin(_REASONS.get(lost_by, lost_by))

    def begin(self, reason: str) -> None:
        """Report that the server is away, unless that was reported."""
        if not self._is_away:
            self._is_away = True
            if self._report is not None:
                self._report(reason)

    def end(self) -> None:
        """Report that the server is back, if it was away."""
        if self._is_away:
            self._is_away = False
            if self._report is not None:
                self._report(None)
