"""The interface through which delivery encodes messages and sends them to clients; `web/socketio` implements it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.wire import Frame


class Transport(Protocol):
    """Sends messages to clients, in the order in which it receives them."""

    def frame(self, event: str, payload: Mapping[str, Any]) -> Frame:
        """Encode one message."""

    def read(self, frame: Frame) -> Mapping[str, Any]:
        """Return the payload of an encoded message."""

    def send(self, client: str, frames: Sequence[Frame]) -> None:
        """Queue messages for a client without waiting. A closed client is not an error."""

    def find_connection(self, client: str) -> Any:
        """Return the value of `Client.connection` for a new client."""

    def send_to_all(self, clients: Collection[Client], frames: Sequence[Frame]) -> Sequence[tuple[Client, int]]:
        """Send the same messages to all clients without waiting.

        Returns the clients that took fewer than all, with the number each took. A closed client counts as taking
        all.
        """

    def is_ready(self, client: Client) -> bool:
        """Return whether a client takes a message now."""
