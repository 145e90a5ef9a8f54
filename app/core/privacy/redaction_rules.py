"""The rules of redaction: which fields, e-mail addresses and texts are hidden, and which fields a JSON Schema marks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

#: Shorter values of secret fields are not hidden elsewhere: too much text contains them.
SHORTEST_VALUE = 6
#: Increased when the same rules and patterns hide something else than before: redactions are then computed again.
VERSION = 1
#: Replacement of a hidden text.
HIDDEN = "[redacted:secret]"
_NOT_NAMED = re.compile(r"[^a-z0-9]")


def normal(name: str) -> str:
    """Return a field's name in the form for comparisons: `apiKey`, `API-Key` and `api_key` are equal."""
    return _normal(name[:200])


@lru_cache(maxsize=4096)
def _normal(name: str) -> str:
    return _NOT_NAMED.sub("", name.lower())


@dataclass(frozen=True, slots=True)
class Rules:
    """What is hidden from all readers."""

    #: Fields whose values are hidden at any depth, as `normal` returns them.
    names: frozenset[str] = frozenset()
    emails: bool = False
    #: Texts that are hidden wherever they are, such as the values of a task's secret fields.
    values: tuple[str, ...] = ()
    #: Whether every value is hidden.
    all: bool = False
    #: Whether all text is hidden, keys and messages too: there are more than `most_values` values.
    hides_all: bool = False
    most_values: int = 100
    #: Whether the texts in a value's own secret fields are hidden everywhere in it, as in the input of a schedule.
    hides_own: bool = False

    def with_secrets_of(self, payload: Any) -> Rules:
        """Return the same rules that also hide the texts of the payload's secret fields everywhere."""
        # Sorted, the longest first, so that every process gets the same fingerprint.
        values = tuple(sorted(_secret_texts(payload, self), key=lambda text: (-len(text), text)))
        if len(values) > self.most_values:
            return replace(self, values=(), hides_all=True)
        return replace(self, values=values) if values != self.values else self


PATTERNS_ONLY = Rules()


def _secret_texts(payload: Any, rules: Rules) -> set[str]:
    texts: set[str] = set()
    pending: list[tuple[Any, bool]] = [(payload, rules.all)]
    while pending:
        item, hidden = pending.pop()
        if isinstance(item, Mapping):
            pending += [(inner, hidden or normal(str(key)) in rules.names) for key, inner in item.items()]
        elif isinstance(item, list | tuple):
            pending += [(inner, hidden) for inner in item]
        elif hidden and isinstance(item, str) and len(item) >= SHORTEST_VALUE and item not in HIDDEN:
            texts.add(item)
    return texts


def schema_names(schemas: Iterable[Any]) -> tuple[frozenset[str], bool]:
    """Return the fields that JSON Schemas mark as secret, and whether one marks the whole value.

    A field is secret if it, or the items of its list, have `x-secret: true`, `writeOnly: true` or `format: password`.
    """
    names: set[str] = set()
    whole = False
    for schema in schemas:
        whole = whole or _is_secret(schema, schema)
        pending = [schema]
        while pending:
            node = pending.pop()
            if isinstance(node, list):
                pending += node
            elif isinstance(node, Mapping):
                properties = node.get("properties")
                if isinstance(properties, Mapping):
                    names |= {normal(name) for name, rule in properties.items() if _is_secret(rule, schema)}
                pending += node.values()
    return frozenset(names), whole


def _is_secret(rule: Any, schema: Any) -> bool:
    pending, seen = [rule], 0
    while pending and seen < 100:
        node, seen = pending.pop(), seen + 1
        if isinstance(node, list):
            pending += node[:100]
        if not isinstance(node, Mapping):
            continue
        if node.get("x-secret") is True or node.get("writeOnly") is True or node.get("format") == "password":
            return True
        pending += [node[key] for key in ("items", "anyOf", "oneOf", "allOf", "additionalProperties") if key in node]
        reference = node.get("$ref")
        if isinstance(reference, str) and isinstance(schema, Mapping):
            pending.append(schema.get("$defs", {}).get(reference.rpartition("/")[2]))
    return False
