"""Validates the payloads of Socket.IO events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from swallowtail.app.core.errors import InvalidInput, SwallowtailError
from swallowtail.app.delivery.wire import Since
from swallowtail.app.web.engineio.packets import INVALID_EVENT

_MAX_SEQ = 2**63 - 1
_MAX_EPOCH_LENGTH = 64

Payload = Mapping[str, Any]


def read_payload(arguments: tuple[Any, ...]) -> Payload:
    """Return the payload of an event. Raises InvalidInput."""
    if len(arguments) != 1 or not isinstance(arguments[0], dict):
        raise InvalidInput("an event has one object as its payload", field="payload")
    return arguments[0]


def read_since(value: Any) -> Since | None:
    """Return the position that a client resumes from; None when there is none. Raises InvalidInput."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidInput("since must be an object with epoch and seq", field="since")
    epoch, seq = value.get("epoch"), value.get("seq")
    if not isinstance(epoch, str) or len(epoch) > _MAX_EPOCH_LENGTH:
        raise InvalidInput(f"since.epoch must be text of at most {_MAX_EPOCH_LENGTH} characters", field="since.epoch")
    # In Python a bool is an int; in JSON it is not.
    if not isinstance(seq, int) or isinstance(seq, bool) or not 0 <= seq <= _MAX_SEQ:
        raise InvalidInput("since.seq must be an integer from 0", field="since.seq")
    return Since(epoch, seq)


def refusal_of(event: str, arguments: tuple[Any, ...]) -> SwallowtailError:
    """Return why an event has no handler: its packet was unreadable, or its name is unknown."""
    if event == INVALID_EVENT and arguments and isinstance(arguments[0], SwallowtailError):
        return arguments[0]
    return InvalidInput("there is no such event", field="event")
