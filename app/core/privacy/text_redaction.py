"""Finds the secrets in a text and replaces each by a marker."""

from __future__ import annotations

import re
from collections.abc import Iterator

from swallowtail.app.core.privacy.redaction_rules import PATTERNS_ONLY, SHORTEST_VALUE, Rules
from swallowtail.app.core.privacy.secret_patterns import EMAIL, PATTERNS, Pattern, Span, find, fold, merge, replace

#: A text without these contains no card number.
_EIGHT_DIGITS = re.compile("[0-9]{4}[ -]?[0-9]{4}")


def redact_text(text: str, rules: Rules = PATTERNS_ONLY) -> str:
    """Return `text` with a marker in place of each secret."""
    return text if len(text) < SHORTEST_VALUE and not rules.mute else replace(text, find_spans(text, rules))


def find_spans(text: str, rules: Rules, begin: int = 0) -> list[Span]:
    """Return where the secrets in a text are from `begin` on, in order and without overlaps."""
    if rules.mute:
        return [Span(begin, len(text), "secret", begin, len(text))] if begin < len(text) else []
    return merge(find_all(text, rules, tuple(select_patterns(text, fold(text), rules)), begin))


def find_all(text: str, rules: Rules, patterns: tuple[Pattern, ...], begin: int = 0) -> Iterator[Span]:
    """Yield every match of the patterns and of the rules' values; matches may overlap."""
    folded = fold(text) if patterns else text
    for pattern in patterns:
        yield from find(pattern, text, folded, begin)
    for value in rules.values:
        place = text.find(value, begin)
        while place >= 0:
            end = place + len(value)
            yield Span(place, end, "secret", place, end)
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
