"""Parses the messages that `core/ledger/publisher` publishes on an instance's channel.

A malformed message counts as lost: the head check finds the events that it announced.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from swallowtail.app.core.events import EXECUTION_STEP, TASK_UPDATE


@dataclass(frozen=True, slots=True)
class EventsMessage:
    """The committed events of one transaction, as payloads, in the order of their numbers."""

    epoch: str
    wires: list[dict[str, Any]]
    #: When they were recorded, in Unix seconds by the writer's clock; 0 if unknown.
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """The latest progress inside a step, measured after event `base_seq` of its task."""

    base_seq: int
    wire: dict[str, Any]


def read_message(message: bytes, instance_id: str) -> EventsMessage | LiveMessage | None:
    """Return the content of a message on an instance's channel, or None when it is malformed."""
    try:
        content = orjson.loads(message)
        if content["kind"] == "events":
            return _read_events(content["events"], content.get("at"), instance_id)
        if content["kind"] == "live":
            return _read_live(content, instance_id)
    except (ValueError, KeyError, TypeError, IndexError):
        pass
    return None


def _read_events(wires: Any, at: Any, instance_id: str) -> EventsMessage | None:
    epoch = wires[0]["epoch"]
    usable = all(
        _is_event(wire, instance_id) and type(wire["seq"]) is int and wire["seq"] > 0 and wire["epoch"] == epoch
        for wire in wires
    )
    return EventsMessage(epoch, wires, at if type(at) is float else 0.0) if usable else None


def _read_live(content: Any, instance_id: str) -> LiveMessage | None:
    base_seq, wire = content["base_seq"], content["live"]
    usable = _is_event(wire, instance_id) and type(wire["rev"]) is int and type(base_seq) is int
    usable = usable and isinstance(wire["epoch"], str)
    return LiveMessage(base_seq, wire) if usable else None


def _is_event(wire: Any, instance_id: str) -> bool:
    return (
        wire["instance_id"] == instance_id
        and wire["type"] in (TASK_UPDATE, EXECUTION_STEP)
        and isinstance(wire["task_id"], str)
        and type(wire["attempt"]) is int
        and isinstance(wire["data"], dict)
        and isinstance(wire["data"].get("progress") or 0, int | float)
    )
