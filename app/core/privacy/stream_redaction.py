"""Redacts streamed text, including secrets that are split over two pieces.

Text that may be the beginning of a secret is held until the next piece, or the end, decides. Readers get every
character at most once and in order; offsets count what readers get. Held text is searched again once it has grown by a
fraction of itself, so that the time is linear in the length of the text for pieces of any size.
"""

from __future__ import annotations

import re

from swallowtail.app.core.privacy.redaction import find_spans, redact_text
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.privacy.secret_patterns import EMAIL, PATTERNS, PRIVATE_KEY, STARTS, Pattern, find_open, fold

#: Most characters that are held; a longer word is no secret, or was recognized as one.
LONGEST_WAITING = 8192
#: The rest of a word, and the end of a private key, after more than `LONGEST_WAITING` characters of it.
_WORD = re.compile(r"[A-Za-z0-9._~+/=-]*")
_ARMOUR_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST_ARMOUR = 80
#: Held text of this length is searched with each piece; longer text when it has grown by this fraction.
_SOON, _PART = 256, 4
#: A longer beginning of a hidden value is searched for by its first characters.
_SHORT = 16


class TextStream:
    """The streamed text of one step."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._patterns = (*PATTERNS, EMAIL) if rules.emails else PATTERNS
        #: The failure function of each secret value (Knuth, Morris, Pratt), as far as it is computed.
        self._borders: dict[str, list[int]] = {}
        self._held = ""
        self._searched = 0
        #: The character before the held text: it decides whether a word begins there.
        self._before = ""
        #: The pattern of a secret that is too long to hold, and whose rest is being skipped.
        self._skipping: Pattern | None = None
        #: Whether the text is inside of a word that is too long to hold: it is searched in larger pieces.
        self._is_long = False

    def feed(self, piece: str) -> str:
        """Add the next piece and return the text that may be shown now, which may be empty."""
        if self._rules.hides_all:
            return ""
        held = self._held + piece
        if self._skipping is None and _SOON < len(held) < self._searched + self._searched // _PART:
            self._held = held
            return ""
        self._is_long = self._is_long and _WORD.fullmatch(held) is not None
        if self._is_long and len(held) < _SOON:
            self._held = held
            return ""
        rest = self._skip(held)
        if rest is None:
            return ""
        text, begin = self._before + rest, len(self._before)
        cut = self._first_open(text, begin)
        if len(text) - cut > LONGEST_WAITING:
            self._skipping = self._unfinished(text, begin)
            self._is_long = self._skipping is None
            cut = len(text)
        return self._show(text, begin, cut)

    def finish(self) -> str:
        """Return the rest at the end of the text."""
        if self._skipping is not None:
            return ""
        text, begin = self._before + self._held, len(self._before)
        return self._show(text, begin, len(text))

    def _show(self, text: str, begin: int, cut: int) -> str:
        self._held = text[cut:]
        self._searched = len(self._held)
        if cut > begin:
            self._before = text[cut - 1]
        shown = redact_text(text[:cut], self._rules)
        return shown[begin:]

    def _skip(self, text: str) -> str | None:
        """Return the text after the secret that is being skipped, or None while it continues."""
        if self._skipping is PRIVATE_KEY:
            end = _ARMOUR_END.search(text)
            if end is None:
                self._held = text[-_LONGEST_ARMOUR:]
                return None
            text = text[end.end() :]
        elif self._skipping is not None:
            rest = _WORD.match(text)
            text = text[rest.end() :] if rest is not None else text
            if not text:
                return None
        self._skipping = None
        return text

    def _first_open(self, text: str, begin: int) -> int:
        """Return where the first text begins that may become a secret, or the length of the text."""
        folded = fold(text)
        first = min(_tail_of_start(folded, begin), self._tail_of_value(text, begin))
        for pattern in self._patterns:
            if pattern.triggers and not any(trigger in folded for trigger in pattern.triggers):
                continue
            opened = find_open(pattern, text, begin)
            if opened is not None:
                first = min(first, opened)
        for span in reversed(find_spans(text, self._rules, begin)):
            if span.first < first < span.last:
                # A recognized secret must not be cut.
                first = span.first
        return first

    def _tail_of_value(self, text: str, begin: int) -> int:
        longest = 0
        for value in self._rules.values:
            limit = min(len(value) - 1, LONGEST_WAITING + 1, len(text) - begin)
            place = text.find(value[:_SHORT], len(text) - limit) if limit >= _SHORT else -1
            tail = text[place:] if place >= 0 else text[len(text) - min(limit, _SHORT - 1) :]
            longest = max(longest, _overlap(value, tail, self._borders.setdefault(value, [0])))
        return len(text) - longest

    def _unfinished(self, text: str, begin: int) -> Pattern | None:
        for span in find_spans(text, self._rules, begin):
            if span.end == len(text):
                return PRIVATE_KEY if span.kind == PRIVATE_KEY.kind else PATTERNS[1]
        return None


def _overlap(value: str, tail: str, borders: list[int]) -> int:
    """Return how many characters at the end of `tail` are the first of `value`, which is longer than `tail`.

    The algorithm of Knuth, Morris and Pratt, linear in `tail`. `borders` is the failure function of `value`, and grows
    as far as it is needed.
    """
    for place in range(len(borders), len(tail)):
        borders.append(_follow(value, value[place], borders[-1], borders))
    length = 0
    for char in tail:
        length = _follow(value, char, length, borders)
    return length


def _follow(value: str, char: str, length: int, borders: list[int]) -> int:
    while length and value[length] != char:
        length = borders[length - 1]
    return length + (value[length] == char)


def _tail_of_start(folded: str, begin: int) -> int:
    """Return where a beginning of a trigger starts at the end of a text."""
    end = len(folded)
    for place in range(max(begin, end - _LONGEST_START + 1), end):
        if folded[place:] in _BEGINNINGS and _may_begin(folded, place):
            return place
    return end


def _may_begin(folded: str, place: int) -> bool:
    """Return whether a secret may begin there: not inside of a word, except `authorization`."""
    inside = place > 0 and folded[place].isalnum() and folded[place - 1].isascii() and folded[place - 1].isalnum()
    return not inside or "authorization".startswith(folded[place:])


_LONGEST_START = max(len(start) for start in STARTS)
_BEGINNINGS = frozenset(start[:length] for start in STARTS for length in range(1, len(start) + 1))
