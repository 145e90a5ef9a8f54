"""Numbered events, live state and streamed text, and the JSON that they are sent as.

`wire()` returns the payload that a Socket.IO client receives; docs/protocol.md specifies it.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, overload

import orjson
from pydantic import BaseModel

TASK_UPDATE = "task_update"
EXECUTION_STEP = "execution_step"
STEP_OUTPUT = "step_output"
#: Fields in the data of every event of a type.
COMMON_FIELDS = {
    TASK_UPDATE: ("progress", "message", "timestamp"),
    EXECUTION_STEP: ("step_id", "agent", "action", "status", "output", "started_at", "completed_at"),
}

#: Most levels that events, views, snapshots and pages add around a value, and the depth at which a value is cut.
_CARRIERS, _DEEPEST = 16, 200

_OPTIONS = orjson.OPT_UTC_Z | orjson.OPT_SERIALIZE_NUMPY

#: Name space of deterministic ids. It must never change, or repeats would get other ids.
_NAMESPACE = uuid.UUID("5f0c9a52-6a3c-5b0e-9a5e-0b7b1d9c5e11")


@dataclass(frozen=True, slots=True)
class EventRecord:
    """A committed, numbered event in an instance's log. `data` is the `data` of the protocol."""

    instance_id: str
    seq: int
    epoch: str
    id: str
    task_id: str
    type: str
    attempt: int
    data: dict[str, Any]
    #: When it was recorded, in Unix seconds by the writer's clock; 0 if unknown.
    at: float = field(default=0.0, compare=False)

    def wire(self) -> dict[str, Any]:
        """Return the payload of the Socket.IO event named `self.type`."""
        return {
            "instance_id": self.instance_id,
            "task_id": self.task_id,
            "type": self.type,
            "data": self.data,
            "seq": self.seq,
            "epoch": self.epoch,
            "id": self.id,
            "attempt": self.attempt,
        }


@dataclass(frozen=True, slots=True)
class LiveState:
    """The latest progress inside a step: not numbered, conflated, and outdated by the next event of the task.

    `base_seq` is the number of the task's last event at that time: a client must not receive the progress before that
    event, nor after a later one.
    """

    instance_id: str
    task_id: str
    attempt: int
    rev: int
    base_seq: int
    data: dict[str, Any]
    #: Epoch of the log that `base_seq` refers to.
    epoch: str = ""

    def wire(self) -> dict[str, Any]:
        """Return the payload of a `task_update` that carries `rev` instead of `seq`."""
        return {
            "instance_id": self.instance_id,
            "task_id": self.task_id,
            "type": TASK_UPDATE,
            "data": self.data,
            "epoch": self.epoch,
            "attempt": self.attempt,
            "rev": self.rev,
        }


@dataclass(frozen=True, slots=True)
class TextPiece:
    """A piece of a step's streamed text. `offset` counts characters from the start of the step's try."""

    instance_id: str
    task_id: str
    step_id: str
    attempt: int
    rev: int
    offset: int
    text: str

    def wire(self) -> dict[str, Any]:
        """Return the payload of a `step_output`."""
        return {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}


def event_id(task_id: str, attempt: int, step: str, kind: str) -> str:
    """Return the id of an event: a repeat of the event has the same id, and the log keeps the first."""
    # As JSON, because a step's key may contain any separator.
    return str(uuid.uuid5(_NAMESPACE, to_json([task_id, attempt, step, kind]).decode()))


def step_id(task_id: str, key: str) -> str:
    """Return the id of a step: the same for its start, its end and every later attempt."""
    return str(uuid.uuid5(_NAMESPACE, f"{task_id}/{key}"))


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


@overload
def stamp(moment: datetime) -> str: ...
@overload
def stamp(moment: None) -> None: ...
@overload
def stamp(moment: datetime | None) -> str | None: ...
def stamp(moment: datetime | None) -> str | None:
    """Return RFC 3339 in UTC with milliseconds and `Z`, or None for None."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_json(value: Any) -> bytes:
    """Encode any value that an agent may reasonably return.

    Moments become RFC 3339 (a naive one stays without an offset), models and dataclasses objects, sets lists, decimals
    and paths text, bytes the text that they are in UTF-8, NaN and infinities null. NUL characters and lone surrogates,
    which PostgreSQL and JSON refuse, become U+FFFD.

    Raises:
        TypeError: the value has a part without a JSON form, an integer of more than 64 bits, or a reference to itself.
    """
    try:
        encoded = orjson.dumps(value, default=_default, option=_OPTIONS)
    except orjson.JSONEncodeError:
        encoded = _encode_unusual(value)
    if b"\\u0000" in encoded:
        encoded = orjson.dumps(_cleaned(orjson.loads(encoded)))
    return encoded


def _encode_unusual(value: Any) -> bytes:
    """Encode a value with keys that are no text, or with lone surrogates."""
    options = _OPTIONS | orjson.OPT_NON_STR_KEYS
    try:
        encoded = orjson.dumps(value, default=_default, option=options)
    except orjson.JSONEncodeError:
        encoded = orjson.dumps(_clean_all(value), default=_clean_default, option=options)
    # Two keys may have become the same text: the last one wins, as in every JSON reader.
    return orjson.dumps(orjson.loads(encoded))


def clean(text: str) -> str:
    """Return `text` with U+FFFD for each NUL character and lone surrogate."""
    # UTF-16 also joins two adjacent surrogates to the pair that they form.
    cleaned = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return cleaned.replace("\x00", "\ufffd")


def plain(value: Any) -> Any:
    """Return `value` as it is read back from JSON."""
    return orjson.loads(to_json(value))


def limit_depth(value: Any) -> Any:
    """Return a JSON value, cut where it is too deep to be encoded, such as one that an older version stored."""
    carried = value
    for _ in range(_CARRIERS):
        carried = [carried]
    try:
        orjson.dumps(carried)
    except TypeError:
        return _limit_levels(value)
    return value


def _limit_levels(value: Any) -> Any:
    top = [value]
    level: list[dict[str, Any] | list[Any]] = [top]
    for _ in range(_DEEPEST):
        below: list[dict[str, Any] | list[Any]] = []
        for holder in level:
            for place, item in holder.items() if isinstance(holder, dict) else enumerate(holder):
                if isinstance(item, dict | list):
                    holder[place] = item.copy()  # type: ignore[index]
                    below.append(holder[place])  # type: ignore[index]
        level = below
    for holder in level:
        holder.clear()
    return top[0]


def _default(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Set):
        return sorted(value, key=repr)
    if isinstance(value, Decimal | PurePath):
        return str(value)
    if isinstance(value, bytes):
        return _decode(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} has no JSON form")


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise TypeError("bytes that are not UTF-8 have no JSON form; encode them, as base64 for example") from None


def _clean_default(value: Any) -> Any:
    return _cleaned(_default(value))


def _clean_all(value: Any) -> Any:
    try:
        return _cleaned(value)
    except RecursionError:
        raise TypeError("the value is nested too deeply, or contains itself") from None


def _cleaned(value: Any) -> Any:
    if isinstance(value, str) and not isinstance(value, Enum):
        return clean(value)
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    if isinstance(value, BaseModel):
        return _cleaned(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [part.name for part in dataclasses.fields(value) if not part.name.startswith("_")]
        return {name: _cleaned(getattr(value, name)) for name in fields}
    return value
