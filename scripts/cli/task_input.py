"""Builds the input of a task from a file, standard input and `--set` options. The service validates it."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swallowtail.app.core.errors import InvalidInput

if TYPE_CHECKING:
    from swallowtail.client import Agent

Schema = dict[str, Any]

_EXAMPLE_TIME = "2030-01-31T08:00:00Z"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)?", re.IGNORECASE)
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def build_input(card: Agent, source: str | None, options: Sequence[str], *, sample: bool = False) -> dict[str, Any]:
    """Return the input from a file (or `-`) or the sample, and options, which take precedence. Raises InvalidInput."""
    task_input = _sample_of(card) if sample else {}
    if source is not None:
        if sample:
            raise InvalidInput("cannot be used together with --input", field="--sample")
        task_input = _from_source(card, source)
    for option in options:
        _apply(task_input, card.input_schema, option)
    return task_input


def _sample_of(card: Agent) -> dict[str, Any]:
    """Return the first example in the agent's schema."""
    examples = card.input_schema.get("examples") or [None]
    if not isinstance(examples[0], dict):
        raise InvalidInput(f"{card.kind} has no sample", field="--sample")
    return dict(examples[0])


def parse_duration(text: str, field: str) -> float:
    """Return the seconds of a duration such as `90`, `90s`, `15m`, `2h`, `1d` or `1w`. Raises InvalidInput."""
    duration = _DURATION.fullmatch(text.strip())
    if duration is None:
        raise InvalidInput("must be a number of seconds, or a number with s, m, h, d or w, such as 15m", field=field)
    return float(duration[1]) * _SECONDS[(duration[2] or "s").lower()]


def parse_time(text: str, field: str) -> str:
    """Return a time of an option as the API reads it: ISO 8601, in local time without a zone. Raises InvalidInput."""
    try:
        return datetime.fromisoformat(text).astimezone().isoformat()
    except (ValueError, OverflowError):
        raise InvalidInput(f"must be a time such as {_EXAMPLE_TIME}", field=field) from None


def parse_past(text: str | None, field: str) -> str | None:
    """Return a time in the past, which may also be a duration: `2h` is two hours ago. Raises InvalidInput."""
    if text is None:
        return None
    if _DURATION.fullmatch(text.strip()):
        return (datetime.now(UTC) - timedelta(seconds=parse_duration(text, field))).isoformat()
    return parse_time(text, field)


def _from_source(card: Agent, source: str) -> dict[str, Any]:
    content = _read(source)
    name = "standard input" if source == "-" else source
    binary = _file_fields(card, "base64")
    if len(binary) == 1 and _is_binary(content):
        return {binary[0]: base64.b64encode(content).decode("ascii")}
    text = _as_text(content, source)
    is_json = source.lower().endswith(".json") or (source == "-" and text.lstrip().startswith("{"))
    if is_json:
        return _parse_object(text, name)
    fields = _file_fields(card, True)
    if len(fields) != 1:
        raise InvalidInput(f"{card.kind} takes no document; {name} must be a JSON object", field="--input")
    return {fields[0]: text}


def _file_fields(card: Agent, kind: object) -> list[str]:
    """Return the fields that take a file: as text (True), or as bytes (`base64`)."""
    return [key for key, rule in _properties(card.input_schema).items() if rule.get("x-file") == kind]


def _is_binary(content: bytes) -> bool:
    """Return whether a file is not text: PDF and zip files by their first bytes, others by NUL bytes."""
    return content.startswith((b"%PDF-", b"PK\x03\x04")) or b"\0" in content


def _read(source: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise InvalidInput(f"cannot read {source}: {error.strerror or error}", field="--input") from None
    except ValueError:
        raise InvalidInput("not a valid file name", field="--input") from None


def _as_text(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInput(f"{source} is not UTF-8 text", field="--input") from None


def _parse_object(text: str, name: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"{name} is not JSON: {error.msg} ({place})", field="--input") from None
    except (RecursionError, ValueError):
        raise InvalidInput(
            f"{name} is nested too deeply or contains a number that is too long", field="--input"
        ) from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{name} must contain a JSON object", field="--input")
    return document


def _apply(task_input: dict[str, Any], schema: Schema, option: str) -> None:
    """Set one value; dots in its key separate the names of nested objects."""
    key, equals, text = option.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise InvalidInput(f"must be key=value, not {option!r}", field="--set")
    target, rule = task_input, schema
    for part in parts[:-1]:
        rule = _properties(rule).get(part, {})
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InvalidInput(f"{part} is not an object", field="--set")
        target = inner
    target[parts[-1]] = _value(text, _properties(rule).get(parts[-1], {}))


def _value(text: str, rule: Schema) -> Any:
    """Convert a value by its schema: text stays text, a list may use commas, anything else is JSON if it parses."""
    kind = rule.get("type")
    if kind == "string" or "enum" in rule:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    if kind == "array" and not isinstance(value, list):
        return [_value(part.strip(), rule.get("items", {})) for part in text.split(",") if part.strip()]
    return value


def _properties(rule: Schema) -> dict[str, Schema]:
    properties = rule.get("properties", {})
    return properties if isinstance(properties, dict) else {}
