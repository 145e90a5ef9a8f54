"""Groups the two memory budgets that all connections of one web process share."""

from __future__ import annotations

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.websocket.incoming_budget import IncomingBudget
from swallowtail.app.web.websocket.outgoing_budget import OutgoingBudget


class MemoryBudgets:
    """The memory budgets of one process."""

    def __init__(self, settings: Settings) -> None:
        #: Bytes that wait for clients to read them.
        self.outgoing = OutgoingBudget(settings.outbound_bytes)
        #: Bytes of incomplete messages from clients.
        self.incoming = IncomingBudget(settings.partial_bytes)

    def measure(self) -> None:
        """Update the gauges."""
        self.outgoing.measure()
        self.incoming.measure()
