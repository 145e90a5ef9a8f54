"""Validates input before the domain uses it: ids, lines of text, and the depth and size of JSON."""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass
from typing import Any

import orjson

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, TooLarge
from swallowtail.app.core.events import to_json

_INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
#: C0 controls except tab, line feed and carriage return; DEL and C1; lone surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_LINE_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
#: Integers of 64 bits, signed or unsigned: orjson preserves these.
_INTEGERS = range(-(2**63), 2**64)
#: Longest path of a field in an error, in characters.
_LONGEST_PATH = 200
#: Bytes that an event may have beside its payload, and the longest message in characters.
_MORE, LONGEST_MESSAGE = 65_536, 2000
#: Key in `Session.info` of the settings.
LIMITS = "limits"
_DEEP, _MANY = "nested deeper than {} levels", "{} has more than {} values"


@dataclass(frozen=True, slots=True)
class CheckedJson:
    """A value that `check_encoded` accepted, with its JSON, so that it is encoded only once."""

    value: Any
    encoded: bytes


def check_instance_id(value: object, field: str = "instance_id") -> str:
    """Return `value` if it is a valid instance id. Raises InvalidInput."""
    if not isinstance(value, str) or not _INSTANCE_ID.fullmatch(value):
        raise InvalidInput(f"{field} must be 1 to 64 letters, digits, '-' or '_'", field=field)
    return value


def check_task_id(value: object, field: str = "task_id") -> str:
    """Return `value` if it is a UUID in its usual form. Raises InvalidInput."""
    try:
        if isinstance(value, str) and str(uuid.UUID(value)) == value.lower():
            return value.lower()
    except ValueError:
        pass
    raise InvalidInput(f"{field} must be a UUID", field=field)


def check_line(value: object, field: str, *, longest: int, least: int = 1) -> str:
    """Return `value`, stripped, if it is one line of `least` to `longest` characters. Raises InvalidInput."""
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be text", field=field)
    if _LINE_CONTROL.search(value):
        raise InvalidInput(f"{field} must not contain control characters", field=field)
    value = value.strip()
    if not least <= len(value) <= longest:
        raise InvalidInput(f"{field} must have {least} to {longest} characters", field=field)
    return value


def check_json(value: Any, field: str, settings: Settings) -> None:
    """Check the depth, size and text of JSON without recursion.

    Raises:
        InvalidInput: too deep, an invalid number, or control characters; the field is the path to it.
        TooLarge: more than `max_body_bytes` as JSON, or more than `max_json_nodes` values.
    """
    nodes = 0
    pending: list[tuple[Any, str, int]] = [(value, field, 1)]
    while pending:
        item, path, depth = pending.pop()
        nodes += 1
        if nodes + len(pending) > settings.max_json_nodes:
            raise TooLarge(_MANY.format(field, settings.max_json_nodes), field=field)
        if depth > settings.max_json_depth:
            raise InvalidInput(_DEEP.format(settings.max_json_depth), field=field)
        if isinstance(item, dict):
            for key in item:
                _check_scalar(key, f"{path} (a key)")
            pending += [(inner, _join(path, f".{key}"), depth + 1) for key, inner in item.items()]
        elif isinstance(item, list):
            pending += [(inner, _join(path, f"[{place}]"), depth + 1) for place, inner in enumerate(item)]
        else:
            _check_scalar(item, path)
    if len(to_json(value)) > settings.max_body_bytes:
        raise TooLarge(f"{field} is larger than {settings.max_body_bytes} bytes", field=field)


def check_encoded(encoded: bytes, field: str, settings: Settings, *, extra_depth: int = 0) -> None:
    """Check the depth and size of encoded JSON, with `extra_depth` levels of an event around it, before it is stored.

    Raises:
        InvalidInput: nested deeper than `max_json_depth`.
        TooLarge: more than `max_output_bytes` (an input: `max_body_bytes`), or more than `max_json_nodes` values.
    """
    largest = settings.max_body_bytes if field == "input" else settings.max_output_bytes
    if len(encoded) > largest + _MORE * bool(extra_depth):
        raise TooLarge(f"{field} is {len(encoded)} bytes; {largest} are allowed", field=field)
    # Upper bounds: for nearly all values, these are enough.
    levels = encoded.count(b"[") + encoded.count(b"{")
    deepest, most = settings.max_json_depth + extra_depth, settings.max_json_nodes + 100 * extra_depth
    if levels < deepest and levels + encoded.count(b",") < most:
        return
    nodes, depth = _measure(orjson.loads(encoded))
    if depth > deepest:
        raise InvalidInput(f"{field} is {_DEEP.format(settings.max_json_depth)}", field=field)
    if nodes > most:
        raise TooLarge(_MANY.format(field, settings.max_json_nodes), field=field)


def _measure(value: Any) -> tuple[int, int]:
    """Return the number of values and levels; a plain value has one of each."""
    nodes = depth = 0
    level = [value]
    while level:
        nodes, depth = nodes + len(level), depth + 1
        holders = [item for item in level if isinstance(item, dict | list)]
        level = [part for item in holders for part in (item.values() if isinstance(item, dict) else item)]
    return nodes, depth


def _join(path: str, part: str) -> str:
    # Otherwise a long key would be copied for every item of a list below it: gigabytes from 256 KiB.
    return path if len(path) > _LONGEST_PATH else path + part[:_LONGEST_PATH]


def _check_scalar(item: Any, path: str) -> None:
    if isinstance(item, str):
        if _CONTROL.search(item):
            raise InvalidInput("control characters are not allowed", field=path)
    elif isinstance(item, bool) or item is None:
        return
    elif isinstance(item, int):
        if item not in _INTEGERS:
            raise InvalidInput("this number is too large", field=path)
    elif isinstance(item, float):
        if not math.isfinite(item):
            raise InvalidInput("this is not a finite number", field=path)
    else:
        raise InvalidInput(f"a {type(item).__name__} is not JSON", field=path)
