"""Converts an agent's input model to the JSON Schema on its card.

Submission validates input with this schema, and the web UI builds its form from it, both without importing the agent.
Two changes make Pydantic's schema fit both uses: references are replaced by their definitions, and an optional field is
one that may be left out (no `anyOf` with null, no null in a default).
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def input_schema(model: type[BaseModel]) -> Schema:
    """Return the JSON Schema (2020-12) of an input model. A recursive model keeps its references."""
    schema = model.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    if not any(_reaches(name, name, definitions, set()) for name in definitions):
        schema = _inline(schema, schema.pop("$defs", {}))
    return {"$schema": DIALECT, **_without_null(schema)}


def output_schema(model: type[BaseModel]) -> Schema:
    """Return the JSON Schema (2020-12) of an output model; it marks the fields to redact."""
    return {"$schema": DIALECT, **model.model_json_schema(mode="serialization")}


def _references(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for item in node for name in _references(item)}
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"].rpartition("/")[2]} if isinstance(node.get("$ref"), str) else set()
    return own.union(*(_references(value) for value in node.values()))


def _reaches(start: str, goal: str, definitions: Schema, seen: set[str]) -> bool:
    for name in _references(definitions.get(start)) - seen:
        seen.add(name)
        if name == goal or _reaches(name, goal, definitions, seen):
            return True
    return False


def _inline(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        target = definitions[node["$ref"].rpartition("/")[2]]
        beside = {key: value for key, value in node.items() if key != "$ref"}
        return _inline({**target, **beside}, definitions)
    return {key: _inline(value, definitions) for key, value in node.items()}


def _without_null(node: Any) -> Any:
    """Replace `anyOf: [X, null], default: null` by X: leaving the field out means the same."""
    if isinstance(node, list):
        return [_without_null(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _without_null(value) for key, value in node.items()}
    if isinstance(node.get("default"), dict):
        node["default"] = {key: value for key, value in node["default"].items() if value is not None}
    choices = node.get("anyOf")
    if not isinstance(choices, list) or {"type": "null"} not in choices or node.get("default", "") is not None:
        return node
    rest = [choice for choice in choices if choice != {"type": "null"}]
    beside = {key: value for key, value in node.items() if key not in ("anyOf", "default")}
    return {**rest[0], **beside} if len(rest) == 1 else {"anyOf": rest, **beside}
