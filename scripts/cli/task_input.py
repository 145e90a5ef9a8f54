"""What the user gives a task: a file, standard input and `--set`, put together into the input that its agent asks for.

Nothing is decided here about what is valid; that is the domain's.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swallowtail.app.core.errors import InvalidInput, TooLarge
from swallowtail.app.core.schemas.instances import AgentView

Schema = dict[str, Any]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)?", re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def build_input(card: AgentView, source: str | None, settings: Sequence[str], largest: int) -> dict[str, Any]:
    """Return the input object from a file (or `-`) and `key=value` settings, which win.

    Raises:
        InvalidInput: a file that cannot be read or used, or a setting without a key.
        TooLarge: the file has more than `largest` bytes.
    """
    given = {} if source is None else _from_source(card, source, largest)
    for setting in settings:
        _apply(given, card["input_schema"], setting)
    return given


def parse_duration(text: str, field: str) -> float:
    """Return the seconds that `90`, `90s`, `15m`, `2h`, `1d` or `1w` mean. Raises InvalidInput."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InvalidInput("give seconds, or a number with s, m, h, d or w, such as 15m", field=field)
    return float(found[1]) * _SECONDS[(found[2] or "s").lower()]


def _from_source(card: AgentView, source: str, largest: int) -> dict[str, Any]:
    content = _read(source, largest)
    name = "standard input" if source == "-" else source
    binary = _places(card, "base64")
    if len(binary) == 1 and _is_binary(content):
        return {binary[0]: base64.b64encode(content).decode("ascii")}
    text = _as_text(content, source)
    is_json = source.lower().endswith(".json") or (source == "-" and text.lstrip().startswith("{"))
    if is_json:
        return _parse_object(text, name)
    places = _places(card, True)
    if len(places) != 1:
        raise InvalidInput(f"{card['kind']} takes no document; give {name} as a JSON object", field="--input")
    return {places[0]: text}


def _places(card: AgentView, kind: object) -> list[str]:
    """The fields that a file may fill: with its text (True), or with its bytes (`base64`)."""
    return [key for key, rule in _properties(card["input_schema"]).items() if rule.get("x-file") == kind]


def _is_binary(content: bytes) -> bool:
    """Whether a file is no text, by its content: PDF and packed files by their first bytes, others by their zeros."""
    return content.startswith((b"%PDF-", b"PK\x03\x04")) or b"\0" in content


def _read(source: str, largest: int) -> bytes:
    try:
        if source == "-":
            content = sys.stdin.buffer.read(largest + 1)
        else:
            with Path(source).open("rb") as file:
                content = file.read(largest + 1)
    except OSError as fault:
        raise InvalidInput(f"cannot read {source}: {fault.strerror or fault}", field="--input") from None
    except ValueError:
        raise InvalidInput("this is not the name of a file", field="--input") from None
    if len(content) > largest:
        raise TooLarge(f"{source} is larger than {largest} bytes", field="--input")
    return content


def _as_text(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{source} is not UTF-8 text", field="--input") from None


def _parse_object(text: str, name: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as fault:
        place = f"line {fault.lineno}, column {fault.colno}"
        raise InvalidInput(f"{name} is not JSON: {fault.msg} ({place})", field="--input") from None
    except (RecursionError, ValueError):
        raise InvalidInput(f"{name} is nested too deeply or holds a number that is too long", field="--input") from None
    if not isinstance(found, dict):
        raise InvalidInput(f"{name} must hold a JSON object", field="--input")
    return found


def _apply(given: dict[str, Any], schema: Schema, setting: str) -> None:
    """Set one value; dots in its key lead into objects."""
    key, equals, text = setting.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InvalidInput(f"write key=value, not {setting!r}", field="--set")
    place, rule = given, schema
    for part in parts[:-1]:
        rule = _properties(rule).get(part, {})
        inner = place.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InvalidInput(f"{part} is not an object", field="--set")
        place = inner
    place[parts[-1]] = _value(text, _properties(rule).get(parts[-1], {}))


def _value(text: str, rule: Schema) -> Any:
    """Read a value as the schema wants it: text as it is, lists also with commas, anything else as JSON if it is."""
    kind = rule.get("type")
    if kind == "string" or "enum" in rule:
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = text
    if kind == "array" and not isinstance(found, list):
        return [_value(part.strip(), rule.get("items", {})) for part in text.split(",") if part.strip()]
    return found


def _properties(rule: Schema) -> dict[str, Schema]:
    found = rule.get("properties", {})
    return found if isinstance(found, dict) else {}
