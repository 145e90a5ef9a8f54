"""Prints one agent: the fields of its input, and a command that submits a task to it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from swallowtail.scripts.cli.output.printing import Json, console, print_table, readable, to_json

#: Example values by type, for fields that name none.
_VALUES: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
_LONGEST = 60


def print_agent(card: Json) -> None:
    """Print one agent with the fields of its input and an example."""
    output = console()
    output.print(f"{card['kind']}: {card['title']}", style="bold", markup=False, highlight=False)
    output.print(readable(card["description"]), markup=False, highlight=False)
    schema = card["input_schema"]
    rows = [
        (name, _type_of(rule), "yes" if is_required else "", _default_of(rule), _values_of(rule), _meaning_of(rule))
        for name, rule, is_required in _fields(schema)
    ]
    columns = ("Field", "Type", "Required", "Default", "Values", "Meaning")
    print_table(columns, rows, "This agent takes no input.")
    output.print(f"\nExample:\n  {make_example(card)}", markup=False, highlight=False, soft_wrap=True)


def make_example(card: Json) -> str:
    """Return a command that submits a task with the agent's sample, or with what it requires."""
    schema = card["input_schema"]
    parts = ["swallowtail", "enqueue", card["kind"], "--instance", "demo"]
    if schema.get("examples"):
        return shlex.join([*parts, "--sample"])
    needs_file = False
    for name, rule, is_required in _fields(schema):
        if rule.get("x-file") is True and not needs_file:
            needs_file = True
            parts += ["--input", f"{name}.md"]
        elif is_required and not rule.get("properties"):
            value = _example_of(rule)
            parts += ["--set", f"{name}={value if isinstance(value, str) else to_json(value)}"]
    return shlex.join(parts)


def _fields(schema: Json, prefix: str = "", *, is_needed: bool = True) -> Iterator[tuple[str, Json, bool]]:
    """Yield the name, the rule and the necessity of each field; dots separate the names of nested objects."""
    required = schema.get("required", [])
    for name, rule in schema.get("properties", {}).items():
        inner = _resolve(rule, schema)
        is_required = is_needed and name in required
        yield f"{prefix}{name}", inner, is_required
        if inner.get("properties"):
            yield from _fields({"$defs": schema.get("$defs", {}), **inner}, f"{prefix}{name}.", is_needed=is_required)


def _resolve(rule: Json, schema: Json) -> Json:
    """Return a rule with what it refers to, and the rule of an optional field without the null."""
    choices = [choice for choice in rule.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:
        rule = {**choices[0], **{key: value for key, value in rule.items() if key != "anyOf"}}
    name = str(rule.get("$ref", "")).removeprefix("#/$defs/")
    return {**schema.get("$defs", {}).get(name, {}), **rule}


def _type_of(rule: Json) -> str:
    kind = rule.get("type")
    if kind is None:
        kind = [choice.get("type") for choice in rule.get("anyOf", ()) if choice.get("type")]
    text = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind or "")
    items = rule.get("items", {})
    inner = items.get("type") if isinstance(items, dict) else None
    return f"{text} of {inner}s" if inner else text


def _default_of(rule: Json) -> str:
    return _shorten(to_json(rule["default"])) if rule.get("default") is not None else ""


def _values_of(rule: Json) -> str:
    """Return the values that a field may have, or their limits."""
    items = rule.get("items", {})
    values = rule.get("enum") or (items.get("enum") if isinstance(items, dict) else None)
    if values:
        return ", ".join(map(str, values))
    if "const" in rule:
        return str(rule["const"])
    low = rule.get("minimum", rule.get("exclusiveMinimum"))
    high = rule.get("maximum", rule.get("exclusiveMaximum"))
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"at least {low}"
    return f"at most {high}" if high is not None else ""


def _meaning_of(rule: Json) -> str:
    text = str(rule.get("description", ""))
    notes = {True: "a text file with --input", "base64": "a binary file with --input"}
    note = notes.get(rule.get("x-file", ""), "")
    return f"{text} ({note})" if text and note else text or note


def _example_of(rule: Json) -> Any:
    for key in ("examples", "enum"):
        if rule.get(key):
            return rule[key][0]
    return rule.get("default") or rule.get("const") or _VALUES.get(str(rule.get("type")), "text")


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
