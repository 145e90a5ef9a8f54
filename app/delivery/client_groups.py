"""The clients of one watched instance by what they may see: everybody who sees everything, and an audience per view.

On the road between `watch` and `audience`.
"""

from __future__ import annotations

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.delivery.client_group import Audience
from swallowtail.app.delivery.cursor import Client, LiveStates
from swallowtail.app.delivery.event_buffer import Ring
from swallowtail.app.delivery.masked_view import Lens
from swallowtail.app.delivery.wire import Entry, Reason, Transport


class Audiences:
    """All audiences of one instance, over one ring. Not safe for threads: its watch has the lock."""

    def __init__(
        self, instance_id: str, ring: Ring, live: LiveStates, settings: Settings, transport: Transport
    ) -> None:
        self._parts = (instance_id, ring, live, settings, transport)
        self._full = Audience(*self._parts)
        #: By view; empty for most instances.
        self._partial: dict[object, Audience] = {}

    def __len__(self) -> int:
        return sum(len(audience) for audience in self._all())

    def __contains__(self, client: Client) -> bool:
        return any(client in audience for audience in self._all())

    @property
    def behind(self) -> int:
        """How many clients do not have everything."""
        return sum(audience.behind for audience in self._all())

    def admit(self, client: Client, seq: int, *, move: bool) -> None:
        """See `Audience.admit`."""
        audience = self._full
        if not client.view.is_full:
            known = self._partial.get(client.view)
            instance_id, _, _, settings, transport = self._parts
            lens = Lens(instance_id, client.view, transport, settings.ring_bytes)
            audience = known or Audience(*self._parts, lens)
            self._partial[client.view] = audience
        audience.admit(client, seq, move=move)

    def dismiss(self, client: Client) -> None:
        """See `Audience.dismiss`."""
        if client.view.is_full:
            self._full.dismiss(client)
        elif client.view in self._partial:
            self._partial[client.view].dismiss(client)
            if not self._partial[client.view]:
                del self._partial[client.view]

    def hindmost(self) -> int | None:
        """See `Audience.hindmost`."""
        if not self._partial:
            return self._full.hindmost()
        return min((place for audience in self._all() if (place := audience.hindmost()) is not None), default=None)

    def rest(self) -> float:
        """See `Audience.rest`."""
        return min(audience.rest() for audience in self._all())

    def advance(self) -> None:
        """See `Audience.advance`."""
        for audience in self._all():
            audience.advance()

    def feed(self, entries: list[Entry]) -> None:
        """See `Audience.feed`."""
        for audience in self._all():
            audience.feed(entries)

    def tell_head(self) -> None:
        """See `Audience.tell_head`."""
        for audience in self._all():
            audience.tell_head()

    def lose(self, after: int, before: int) -> None:
        """See `Audience.lose`."""
        for audience in self._all():
            audience.lose(after, before)

    def reset_all(self, reason: Reason) -> None:
        """See `Audience.reset_all`."""
        for audience in self._all():
            audience.reset_all(reason)

    def revoke(self) -> None:
        """See `Audience.revoke`."""
        for audience in self._all():
            audience.revoke()
        self._partial.clear()

    def _all(self) -> list[Audience]:
        # A list: it may be asked for by those who have no lock.
        return [self._full, *self._partial.values()]
