"""What nobody is to see, replaced by a marker: in events before they are stored, in live state, in views, in logs.

Beside the road: `core/ledger/event_log` redacts every fact, `core/queries/views` every row that somebody is shown, `core/logs/setup` every line.
The shape stays: objects stay objects, lists lists; text becomes text, and any other hidden value null. Doing it twice
changes nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from swallowtail.app.core.events import bearable, to_json
from swallowtail.app.core.privacy.secret_patterns import EMAIL, PATTERNS, Pattern, Span, find, fold, is_card

#: Shorter values of secret fields are not looked for elsewhere: half of all text would be gone.
SHORTEST_VALUE = 6
#: To be raised whenever something else is hidden than before by the same rules and patterns: what is kept is made anew.
EDITION = 1
_MARKER = "[redacted:{}]"
_HIDDEN = _MARKER.format("secret")
#: A text without these holds no card number.
_EIGHT_DIGITS = re.compile("[0-9]{4}[ -]?[0-9]{4}")
_NOT_NAMED = re.compile(r"[^a-z0-9]")


def normal(name: str) -> str:
    """Return a field's name as names are compared: `apiKey`, `API-Key` and `api_key` are one."""
    return _normal(name[:200])


@lru_cache(maxsize=4096)
def _normal(name: str) -> str:
    return _NOT_NAMED.sub("", name.lower())


@dataclass(frozen=True, slots=True)
class Rules:
    """What is hidden from everybody.

    Args:
        names: fields whose values are, at any depth; as `normal` gives them.
        emails: whether e-mail addresses are.
        values: texts that are, wherever they are, such as the values of a task's secret fields.
        all: whether every value is.
        mute: whether everything is, in keys and messages too: there are more `values` than are looked for.
        most_values: how many are looked for, of one task.
    """

    names: frozenset[str] = frozenset()
    emails: bool = False
    values: tuple[str, ...] = ()
    all: bool = False
    mute: bool = False
    most_values: int = 100

    def hiding(self, given: Any) -> Rules:
        """Return the same rules that also hide the texts in the secret fields of `given`, wherever they turn up."""
        # The longest first, and always in the same order: what is kept is known by it, in every process.
        found = tuple(sorted(_secret_texts(given, self), key=lambda text: (-len(text), text)))
        if len(found) > self.most_values:
            return replace(self, values=(), mute=True)
        return replace(self, values=found) if found != self.values else self


PATTERNS_ONLY = Rules()
#: What comes from agents and submitters as it is; everything else is said about it.
PAYLOADS = frozenset({"input", "output", "result"})
#: Fields of an event's data that the system fills in: ids, states, numbers, moments, and names that agents give.
OUR_FIELDS = frozenset(
    {
        "progress",
        "timestamp",
        "status",
        "previous_status",
        "cancel_requested",
        "attempt",
        "step_id",
        "agent",
        "action",
        "started_at",
        "completed_at",
        "key",
        "position",
        "tries",
    }
)


def redact(value: Any, rules: Rules, encoded: bytes | None = None) -> Any:
    """Return a JSON value with everything hidden that `rules` and the common patterns say; works without recursion.

    `encoded` is the value as JSON, where that is at hand: what is nowhere in it is not looked for in each text.
    """
    return _walk(value, _look(to_json(value) if encoded is None else encoded, rules))


def _look(encoded: bytes, rules: Rules) -> _Here:
    text = encoded.decode("utf-8", "replace")
    values = tuple(value for value in rules.values if to_json(value)[1:-1] in encoded)
    return _Here(replace(rules, values=values), tuple(_suspected(text, fold(text), rules)))


def _walk(value: Any, here: _Here) -> Any:
    top: list[Any] = [value]
    pending: list[tuple[Any, Any, Any, bool]] = [(top, 0, value, here.rules.all or here.rules.mute)]
    while pending:
        holder, place, item, hidden = pending.pop()
        if isinstance(item, dict):
            fresh: dict[str, Any] = {}
            holder[place] = fresh
            numbers: dict[str, int] = {}
            for key, inner in item.items():
                told = here.key(fresh, numbers, key)
                secret = hidden or normal(key) in here.rules.names
                # Simple values at once: most are.
                fresh[told] = inner = here.leaf(inner, secret)
                if isinstance(inner, dict | list):
                    pending.append((fresh, told, inner, secret))
        elif isinstance(item, list):
            holder[place] = listed = [here.leaf(inner, hidden) for inner in item]
            pending += [
                (listed, at, inner, hidden) for at, inner in enumerate(listed) if isinstance(inner, dict | list)
            ]
        else:
            holder[place] = here.leaf(item, hidden)
    return top[0]


def redact_facts(data: dict[str, Any], rules: Rules, encoded: bytes) -> dict[str, Any]:
    """Return the data of an event, redacted; our own fields are left as they are.

    `encoded` is the data as JSON.
    """
    payload = {name: value for name, value in data.items() if name not in OUR_FIELDS}
    return {**data, **redact_fields(payload, rules, encoded)}


def redact_fields(fields: dict[str, Any], rules: Rules, encoded: bytes | None = None) -> dict[str, Any]:
    """Return payloads by name, redacted one by one: the rules are about what is in them, not about these names."""
    if encoded is None:
        fields = bearable(fields)
        encoded = to_json(fields)
    strict = _look(encoded, rules)
    said = replace(strict, rules=replace(strict.rules, all=False))
    return {
        name: value if value is None else _walk(value, strict if name in PAYLOADS else said)
        for name, value in fields.items()
    }


@dataclass(frozen=True, slots=True)
class _Here:
    """The rules for one value, with the hidden texts and the patterns that can be in it at all."""

    rules: Rules
    suspected: tuple[Pattern, ...]

    def leaf(self, item: Any, hidden: bool) -> Any:
        """Return what stands for a value; one that has parts is returned as it is."""
        if isinstance(item, str):
            if hidden:
                return _HIDDEN if item else item
            return self._text(item)
        if isinstance(item, dict | list):
            return item
        if hidden or (type(item) is int and 10**13 <= item < 10**19 and _is_card_number(item)):
            return None
        return item

    def key(self, taken: Mapping[str, Any], numbers: dict[str, int], key: str) -> str:
        """Return what stands for a key, apart from those that are `taken`: two that are hidden are still two.

        `numbers` is the last that was given to each.
        """
        first = told = self._text(key)
        if told not in taken:
            return told
        number = numbers.get(first, 1)
        while told in taken:
            number += 1
            told = f"{first} {number}"
        numbers[first] = number
        return told

    def _text(self, text: str) -> str:
        if self.rules.mute:
            return _HIDDEN if text else text
        if len(text) < SHORTEST_VALUE or not (self.suspected or self.rules.values):
            return text
        return _mark(text, _order(_find_all(text, self.rules, self.suspected)))


def redact_text(text: str, rules: Rules = PATTERNS_ONLY) -> str:
    """Return `text` with a marker in place of each secret in it."""
    return text if len(text) < SHORTEST_VALUE and not rules.mute else _mark(text, find_spans(text, rules))


def find_spans(text: str, rules: Rules, begin: int = 0) -> list[Span]:
    """Return where the secrets in a text are, in order and apart from each other."""
    if rules.mute:
        return [Span(begin, len(text), "secret", begin, len(text))] if begin < len(text) else []
    return _order(_find_all(text, rules, tuple(_suspected(text, fold(text), rules)), begin))


def _mark(text: str, spans: Sequence[Span]) -> str:
    if not spans:
        return text
    parts, done = [], 0
    for span in spans:
        parts += [text[done : span.start], _MARKER.format(span.kind)]
        done = span.end
    return "".join([*parts, text[done:]])


def _order(found: Iterable[Span]) -> list[Span]:
    apart: list[Span] = []
    for span in sorted(found, key=lambda one: (one.start, -one.end)):
        if apart and span.start < apart[-1].end:
            last = apart[-1]
            first, end = min(last.first, span.first), max(last.end, span.end)
            apart[-1] = Span(last.start, end, last.kind, first, max(last.last, span.last))
        else:
            apart.append(span)
    return apart


def _find_all(text: str, rules: Rules, suspected: tuple[Pattern, ...], begin: int = 0) -> Iterator[Span]:
    folded = fold(text) if suspected else text
    for pattern in suspected:
        yield from find(pattern, text, folded, begin)
    for value in rules.values:
        place = text.find(value, begin)
        while place >= 0:
            end = place + len(value)
            yield Span(place, end, "secret", place, end)
            place = text.find(value, end)


def _suspected(text: str, folded: str, rules: Rules) -> Iterator[Pattern]:
    """Give the patterns that can be in a text at all: nearly always none, and this is all that is done."""
    for pattern in PATTERNS:
        if pattern.needs and pattern.needs not in text:
            continue
        for trigger in pattern.triggers:
            if trigger in folded:
                yield pattern
                break
        if not pattern.triggers and _EIGHT_DIGITS.search(text):
            yield pattern
    if rules.emails and "@" in text:
        yield EMAIL


def _is_card_number(number: int) -> bool:
    text = str(number)
    return is_card(text) and bool(find_spans(text, PATTERNS_ONLY))


def _secret_texts(given: Any, rules: Rules) -> set[str]:
    texts: set[str] = set()
    pending: list[tuple[Any, bool]] = [(given, rules.all)]
    while pending:
        item, hidden = pending.pop()
        if isinstance(item, Mapping):
            pending += [(inner, hidden or normal(str(key)) in rules.names) for key, inner in item.items()]
        elif isinstance(item, list | tuple):
            pending += [(inner, hidden) for inner in item]
        elif hidden and isinstance(item, str) and len(item) >= SHORTEST_VALUE and item not in _HIDDEN:
            texts.add(item)
    return texts


def schema_names(schemas: Iterable[Any]) -> tuple[frozenset[str], bool]:
    """Return the fields that JSON Schemas mark as secret, and whether one marks the whole value.

    Secret is what has `x-secret: true`, `writeOnly: true` or `format: password`, itself or in the items of a list.
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
