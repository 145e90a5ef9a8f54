"""Groups the two memory budgets that all connections of one web process share."""

from __future__ import annotations

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web.websocket import incoming_budget, outgoing_budget


class MemoryBudgets:
    """The memory budgets of one process."""

    def __init__(self, settings: Settings) -> None:
        #: Bytes that wait for clients to read them.
        self.outgoing = outgoing_budget.OutgoingBudget(settings.outbound_bytes)
        #: Bytes of incomplete messages from clients.
        self.incoming = incoming_budget.IncomingBudget(settings.partial_bytes)

    def measure(self) -> None:
        """Update the gauges."""
        outgoing_budget.BYTES.set(self.outgoing.used)
        incoming_budget.BYTES.set(self.incoming.used)
