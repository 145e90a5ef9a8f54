"""What the connections of one web process may take of its memory together. Under the road."""

from __future__ import annotations

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.websocket.incoming_budget import IncomingBudget
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget


class MemoryBudgets:
    """The budgets of one process."""

    def __init__(self, settings: Settings) -> None:
        #: What waits for clients that do not take it.
        self.outbound = OutgoingBudget(settings.outbound_bytes)
        #: What has come of messages that are not all there.
        self.partials = IncomingBudget(settings.partial_bytes)

    def measure(self) -> None:
        """Bring the gauges up to date."""
        self.outbound.measure()
        self.partials.measure()
