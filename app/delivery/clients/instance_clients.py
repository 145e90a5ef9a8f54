"""Groups the clients of one instance by what they see: one group sees everything, each restricted view has its own."""

from __future__ import annotations

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.client_group import ClientGroup
from swallowtail.app.delivery.clients.live_states import LiveStates
from swallowtail.app.delivery.clients.masked_view import MaskedView
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.event_buffer import EventBuffer


class InstanceClients:
    """All client groups of one instance, over one event buffer. Not safe for threads: the stream has the lock."""

    def __init__(
        self, instance_id: str, buffer: EventBuffer, live: LiveStates, settings: Settings, transport: Transport
    ) -> None:
        self._parts = (instance_id, buffer, live, settings, transport)
        self._full = ClientGroup(*self._parts)
        #: By view; empty for most instances.
        self._masked: dict[object, ClientGroup] = {}

    def __len__(self) -> int:
        return sum(len(group) for group in self.all())

    @property
    def lagging_count(self) -> int:
        """The number of clients that do not have everything."""
        return sum(group.lagging_count for group in self.all())

    def admit(self, client: Client, seq: int, *, move: bool) -> None:
        """See `ClientGroup.admit`."""
        group = self._full
        if not client.view.is_full:
            instance_id, _, _, settings, transport = self._parts
            mask = MaskedView(instance_id, client.view, transport, settings.ring_bytes)
            group = self._masked.get(client.view) or ClientGroup(*self._parts, mask)
            self._masked[client.view] = group
        group.admit(client, seq, move=move)

    def remove(self, client: Client) -> None:
        """See `ClientGroup.remove`."""
        if client.view.is_full:
            self._full.remove(client)
        elif client.view in self._masked:
            self._masked[client.view].remove(client)
            if not self._masked[client.view]:
                del self._masked[client.view]

    def lowest_position(self) -> int | None:
        """See `LaggingCursors.lowest_position`."""
        if not self._masked:
            return self._full.lowest_position()
        return min((seq for group in self.all() if (seq := group.lowest_position()) is not None), default=None)

    def seconds_until_due(self) -> float:
        """See `ClientGroup.seconds_until_due`."""
        return min(group.seconds_until_due() for group in self.all())

    def revoke(self) -> None:
        """See `ClientGroup.revoke`."""
        for group in self.all():
            group.revoke()
        self._masked.clear()

    def all(self) -> list[ClientGroup]:
        """Return every group. A list: callers without the lock iterate over it too."""
        return [self._full, *self._masked.values()]
