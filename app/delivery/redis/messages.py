"""Reading what `core/ledger/publisher` published. On the road between Redis and `delivery/hub`.

A hint is never trusted to be there, and one that is not what it should be is as good as lost: the head check finds what
it was about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from swallowtail.app.core.events import EXECUTION_STEP, TASK_UPDATE


@dataclass(frozen=True, slots=True)
class EventsHint:
    """The committed events of one transaction, as payloads of the wire, in the order of their numbers."""

    epoch: str
    wires: list[dict[str, Any]]
    #: When their transaction noted them, in Unix seconds by the author's clock; 0 when it does not say.
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class LiveHint:
    """The latest progress inside a step, measured after event `base_seq` of its task."""

    base_seq: int
    wire: dict[str, Any]


def read_hint(message: bytes, instance_id: str) -> EventsHint | LiveHint | None:
    """Return what a message on an instance's channel says, or None when it cannot be used."""
    try:
        told = orjson.loads(message)
        if told["kind"] == "events":
            return _read_events(told["events"], told.get("at"), instance_id)
        if told["kind"] == "live":
            return _read_live(told, instance_id)
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    return None


def _read_events(wires: Any, at: Any, instance_id: str) -> EventsHint | None:
    epoch = wires[0]["epoch"]
    usable = all(
        _is_event(wire, instance_id) and type(wire["seq"]) is int and wire["seq"] > 0 and wire["epoch"] == epoch
        for wire in wires
    )
    return EventsHint(epoch, wires, at if type(at) is float else 0.0) if usable else None


def _read_live(told: Any, instance_id: str) -> LiveHint | None:
    base_seq, wire = told["base_seq"], told["live"]
    usable = _is_event(wire, instance_id) and type(wire["rev"]) is int and type(base_seq) is int
    usable = usable and isinstance(wire["epoch"], str)
    return LiveHint(base_seq, wire) if usable else None


def _is_event(wire: Any, instance_id: str) -> bool:
    return (
        wire["instance_id"] == instance_id
        and wire["type"] in (TASK_UPDATE, EXECUTION_STEP)
        and isinstance(wire["task_id"], str)
        and type(wire["attempt"]) is int
        and isinstance(wire["data"], dict)
        and isinstance(wire["data"].get("progress") or 0, int | float)
    )
