"""Names and shapes on the wire (docs/protocol.md is their text), and what delivery needs of whatever carries them.

Between `delivery/hub` and `web/socketio/handlers`: the hub decides what is sent to whom, a `Transport` sends it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from swallowtail.app.core.events import STEP_OUTPUT
from swallowtail.app.core.ledger.event_log import Head

if TYPE_CHECKING:
    from swallowtail.app.delivery.cursor import Client

CONNECTED = "connected"
SUBSCRIBED = "subscribed"
UNSUBSCRIBED = "unsubscribed"
HEAD = "head"
RESET = "reset"
SKIP = "skip"
EXPIRING = "token_expiring"
ERROR = "error"
RESTARTING = "restarting"
#: What only a web process itself says.
OWN = frozenset({CONNECTED, SUBSCRIBED, UNSUBSCRIBED, HEAD, RESET, SKIP, EXPIRING, ERROR, RESTARTING})

Mode = Literal["replay", "snapshot", "live"]
#: Why a client has to begin again: numbers may be reused; what it needs is not stored any more; too slow; no access;
#: its token has expired.
Reason = Literal["epoch", "too_old", "lag", "revoked", "expired"]


class Frame(Protocol):
    """One message, encoded once for any number of clients. Opaque but for its length in bytes."""

    def __len__(self) -> int:
        """Return the length in bytes."""


class Transport(Protocol):
    """Whatever brings messages to clients, in the order in which they are given to it."""

    def frame(self, event: str, payload: Mapping[str, Any]) -> Frame:
        """Encode one message."""

    def read(self, frame: Frame) -> Mapping[str, Any]:
        """Return the payload that a message was made of."""

    def send(self, client: str, frames: Sequence[Frame]) -> None:
        """Queue messages for a client without waiting, in any case. A client that is gone is no error."""

    def line(self, client: str) -> Any:
        """Return what is to be kept as `Client.line`."""

    def spread(self, clients: Collection[Client], frames: Sequence[Frame]) -> Sequence[tuple[Client, int]]:
        """Send clients the same messages without waiting, as many as each takes.

        Returns those that took fewer than all, with how many they took. One that is gone counts as taking all.
        """

    def is_ready(self, client: Client) -> bool:
        """Tell whether a client would take a message now."""


@dataclass(frozen=True, slots=True)
class Since:
    """The last event that a client has: its number, and the epoch that the number belongs to."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Answer:
    """How a subscription begins: events after `seq` follow. `snapshot` is there in snapshot mode only."""

    instance_id: str
    mode: Mode
    head: Head
    seq: int
    #: As JSON: many may get the same one.
    snapshot: bytes | None = None

    def wire(self) -> dict[str, Any]:
        """Return the acknowledgement of `subscribe_instance`, but for the snapshot, which is its last field."""
        return {
            "ok": True,
            "instance_id": self.instance_id,
            "mode": self.mode,
            "epoch": self.head.epoch,
            "head": self.head.seq,
            "min_seq": self.head.min_seq,
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """One durable event, ready to be sent: its place in the log, whose progress it tells, and its message."""

    seq: int
    task_id: str
    attempt: int
    progress: float
    frame: Frame
    #: When it was noted, in Unix seconds by its author's clock; 0 when nobody said.
    at: float = 0.0


def make_entry(transport: Transport, wire: Mapping[str, Any], at: float = 0.0) -> Entry:
    """Return the entry for the payload of a durable event (`EventRecord.wire()`) that was noted at a moment."""
    progress = wire["data"].get("progress")
    frame = transport.frame(wire["type"], wire)
    return Entry(wire["seq"], wire["task_id"], wire["attempt"], float(progress or 0.0), frame, at)


def head_payload(instance_id: str, epoch: str, seq: int) -> dict[str, Any]:
    """Return the payload of `head`: where the log stands."""
    return {"instance_id": instance_id, "epoch": epoch, "seq": seq}


def reset_payload(instance_id: str, reason: Reason) -> dict[str, Any]:
    """Return the payload of `reset`: begin again from a snapshot, give up (`revoked`), or come back (`expired`)."""
    return {"instance_id": instance_id, "reason": reason}


def skip_payload(instance_id: str, epoch: str, after: int, seq: int) -> dict[str, Any]:
    """Return the payload of `skip`: the events above `after` and up to `seq` are not shown to this client."""
    return {"instance_id": instance_id, "epoch": epoch, "after": after, "seq": seq}


def room_of(instance_id: str) -> str:
    """Return the name of the Socket.IO room of an instance's watchers."""
    return f"instance_{instance_id}"


def task_room_of(task_id: str) -> str:
    """Return the name of the Socket.IO room of those who read a task's text along."""
    return f"task_{task_id}"


__all__ = [
    "CONNECTED",
    "ERROR",
    "EXPIRING",
    "HEAD",
    "RESET",
    "SKIP",
    "STEP_OUTPUT",
    "SUBSCRIBED",
    "UNSUBSCRIBED",
    "Answer",
    "Entry",
    "Frame",
    "Mode",
    "Reason",
    "Since",
    "Transport",
    "head_payload",
    "make_entry",
    "reset_payload",
    "room_of",
    "skip_payload",
    "task_room_of",
]
