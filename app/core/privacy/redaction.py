"""Replaces the secrets in texts and JSON values by markers: in events, live state, views and logs.

Objects stay objects and lists stay lists; hidden text becomes a marker, and any other hidden value null. Redacting
twice changes nothing more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from swallowtail.app.core.events import limit_depth, to_json
from swallowtail.app.core.privacy import secret_patterns
from swallowtail.app.core.privacy.redaction_rules import HIDDEN, PATTERNS_ONLY, SHORTEST_VALUE, Rules, normal
from swallowtail.app.core.privacy.secret_patterns import EMAIL, PATTERNS, Pattern, SecretSpan, find, fold, merge

#: A text without these contains no card number.
_EIGHT_DIGITS = re.compile("[0-9]{4}[ -]?[0-9]{4}")
#: Payloads of agents and submitters; every other field is our own text about them.
PAYLOADS = frozenset({"input", "output", "result"})
#: Fields of an event's data that need no redaction: ids, states, numbers, times, and names of agents and steps.
_OUR_NAMES = (
    "progress timestamp status previous_status cancel_requested attempt step_id agent action started_at completed_at "
    "key position tries"
)
OUR_FIELDS = frozenset(_OUR_NAMES.split())


def redact(value: Any, rules: Rules, encoded: bytes | None = None) -> Any:
    """Return a JSON value without what the rules and patterns hide. `encoded` is its JSON, if known. Not recursive."""
    return _redact(value, _select_rules(to_json(value) if encoded is None else encoded, rules))


def _select_rules(encoded: bytes, rules: Rules) -> _ApplicableRules:
    text = encoded.decode("utf-8", "replace")
    values = tuple(value for value in rules.values if to_json(value)[1:-1] in encoded)
    return _ApplicableRules(replace(rules, values=values), tuple(select_patterns(text, fold(text), rules)))


def _redact(value: Any, applicable: _ApplicableRules) -> Any:
    top: list[Any] = [value]
    pending: list[tuple[Any, Any, Any, bool]] = [(top, 0, value, applicable.rules.all or applicable.rules.hides_all)]
    while pending:
        holder, place, item, hidden = pending.pop()
        if isinstance(item, dict):
            fresh: dict[str, Any] = {}
            holder[place] = fresh
            numbers: dict[str, int] = {}
            for key, inner in item.items():
                shown = applicable.key(fresh, numbers, key)
                secret = hidden or normal(key) in applicable.rules.names
                # Most values are simple and need no entry in `pending`.
                fresh[shown] = inner = applicable.redact_leaf(inner, secret)
                if isinstance(inner, dict | list):
                    pending.append((fresh, shown, inner, secret))
        elif isinstance(item, list):
            holder[place] = listed = [applicable.redact_leaf(inner, hidden) for inner in item]
            pending += [
                (listed, at, inner, hidden) for at, inner in enumerate(listed) if isinstance(inner, dict | list)
            ]
        else:
            holder[place] = applicable.redact_leaf(item, hidden)
    return top[0]


def redact_facts(data: dict[str, Any], rules: Rules, encoded: bytes) -> dict[str, Any]:
    """Return the data of an event with its payloads and texts redacted. `encoded` is the data as JSON."""
    payload = {name: value for name, value in data.items() if name not in OUR_FIELDS}
    return {**data, **redact_fields(payload, rules, encoded)}


def redact_fields(fields: dict[str, Any], rules: Rules, encoded: bytes | None = None) -> dict[str, Any]:
    """Return payloads by name, each redacted. The rules apply to the payloads, not to these names."""
    if encoded is None:
        fields = limit_depth(fields)
        encoded = to_json(fields)
    strict = _select_rules(encoded, rules)
    texts = replace(strict, rules=replace(strict.rules, all=False))
    return {
        name: value if value is None else _redact(value, strict if name in PAYLOADS else texts)
        for name, value in fields.items()
    }


@dataclass(frozen=True, slots=True)
class _ApplicableRules:
    """The rules for one value, limited to the values and patterns that the value can contain."""

    rules: Rules
    patterns: tuple[Pattern, ...]

    def redact_leaf(self, item: Any, hidden: bool) -> Any:
        """Return the replacement of a value; objects and lists are returned unchanged."""
        if isinstance(item, str):
            if hidden:
                return HIDDEN if item else item
            return self._text(item)
        if isinstance(item, dict | list):
            return item
        if hidden or (type(item) is int and 10**13 <= item < 10**19 and _is_card_number(item)):
            return None
        return item

    def key(self, target: Mapping[str, Any], numbers: dict[str, int], key: str) -> str:
        """Return the replacement of a key. Equal ones get a number, of which `numbers` has the last."""
        first = shown = self._text(key)
        if shown not in target:
            return shown
        number = numbers.get(first, 1)
        while shown in target:
            number += 1
            shown = f"{first} {number}"
        numbers[first] = number
        return shown

    def _text(self, text: str) -> str:
        if self.rules.hides_all:
            return HIDDEN if text else text
        if len(text) < SHORTEST_VALUE or not (self.patterns or self.rules.values):
            return text
        return secret_patterns.replace(text, merge(find_all(text, self.rules, self.patterns)))


def _is_card_number(number: int) -> bool:
    text = str(number)
    return secret_patterns.is_card(text) and bool(find_spans(text, PATTERNS_ONLY))


def redact_text(text: str, rules: Rules = PATTERNS_ONLY) -> str:
    """Return `text` with a marker in place of each secret."""
    is_short = len(text) < SHORTEST_VALUE and not rules.hides_all
    return text if is_short else secret_patterns.replace(text, find_spans(text, rules))


def find_spans(text: str, rules: Rules, begin: int = 0) -> list[SecretSpan]:
    """Return where the secrets in a text are from `begin` on, in order and without overlaps."""
    if rules.hides_all:
        return [SecretSpan(begin, len(text), "secret", begin, len(text))] if begin < len(text) else []
    return merge(find_all(text, rules, tuple(select_patterns(text, fold(text), rules)), begin))


def find_all(text: str, rules: Rules, patterns: tuple[Pattern, ...], begin: int = 0) -> Iterator[SecretSpan]:
    """Yield every match of the patterns and of the rules' values; matches may overlap."""
    folded = fold(text) if patterns else text
    for pattern in patterns:
        yield from find(pattern, text, folded, begin)
    for value in rules.values:
        place = text.find(value, begin)
        while place >= 0:
            end = place + len(value)
            yield SecretSpan(place, end, "secret", place, end)
            place = text.find(value, end)


def select_patterns(text: str, folded: str, rules: Rules) -> Iterator[Pattern]:
    """Yield the patterns that can match in a text: for most texts none, which saves all other work."""
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
