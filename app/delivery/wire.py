"""Event names, payload shapes and room names of the Socket.IO protocol (docs/protocol.md describes them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from swallowtail.app.core.ledger.event_log import Head

CONNECTED = "connected"
SUBSCRIBED = "subscribed"
UNSUBSCRIBED = "unsubscribed"
HEAD = "head"
RESET = "reset"
SKIP = "skip"
EXPIRING = "token_expiring"
ERROR = "error"
RESTARTING = "restarting"
#: The events that only a web process itself sends.
SERVER_ONLY = frozenset({CONNECTED, SUBSCRIBED, UNSUBSCRIBED, HEAD, RESET, SKIP, EXPIRING, ERROR, RESTARTING})

Mode = Literal["replay", "snapshot", "live"]
#: Why a client has to start again: the log has another epoch; the events it needs are no longer stored; it is too slow;
#: it has no access; its token has expired.
Reason = Literal["epoch", "too_old", "lag", "revoked", "expired"]


class Frame(Protocol):
    """One message, encoded once for any number of clients."""

    def __len__(self) -> int:
        """Return the length in bytes."""


@dataclass(frozen=True, slots=True)
class Since:
    """The last event that a client has: its epoch and number."""

    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class SubscriptionStart:
    """How a subscription starts: events after `seq` follow. `snapshot` is set in snapshot mode only."""

    instance_id: str
    mode: Mode
    head: Head
    seq: int
    #: Encoded as JSON, since many clients may receive the same one.
    snapshot: bytes | None = None

    def wire(self) -> dict[str, Any]:
        """Return the acknowledgement of `subscribe_instance` without the snapshot, which is its last field."""
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
    """One durable event, encoded: its number, its task, the task's progress, and its frame."""

    seq: int
    task_id: str
    attempt: int
    progress: float
    frame: Frame
    #: When it was recorded, in Unix seconds by its author's clock; 0 when unknown.
    at: float = 0.0


def head_payload(instance_id: str, epoch: str, seq: int) -> dict[str, Any]:
    """Return the payload of `head`: the number of the log's last event."""
    return {"instance_id": instance_id, "epoch": epoch, "seq": seq}


def reset_payload(instance_id: str, reason: Reason) -> dict[str, Any]:
    """Return the payload of `reset`: start again from a snapshot, stop (`revoked`), or reconnect (`expired`)."""
    return {"instance_id": instance_id, "reason": reason}


def skip_payload(instance_id: str, epoch: str, after: int, seq: int) -> dict[str, Any]:
    """Return the payload of `skip`: the client does not see the events above `after` and up to `seq`."""
    return {"instance_id": instance_id, "epoch": epoch, "after": after, "seq": seq}


def room_of(instance_id: str) -> str:
    """Return the name of the Socket.IO room of an instance's subscribers."""
    return f"instance_{instance_id}"


def task_room_of(task_id: str) -> str:
    """Return the name of the Socket.IO room of the clients that read a task's text."""
    return f"task_{task_id}"
