"""The patterns of secrets in text: keys, tokens, private keys, passwords, card numbers and e-mail addresses.

A pattern is tried only at its triggers, and each try reads a bounded number of characters: the time is linear in the
length of the text. This module imports nothing of the application: `core/logs/descriptor_capture` loads it by its path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of secret. `kind` is its name in the marker."""

    kind: str
    #: The possible beginnings, in lower case; without any, the whole text is searched.
    triggers: tuple[str, ...]
    #: The whole secret; the groups `keep` before it and `end` after it stay visible.
    secret: re.Pattern[str]
    #: Text at the end that may become a secret when more text follows.
    opened: re.Pattern[str]
    #: Whether a match really is a secret.
    check: Callable[[str], bool] | None = None
    #: Longest part of `opened` before its part of any length.
    lead: int = 0
    #: A character of every such secret; cheaper to search for than the triggers.
    needs: str = ""


@dataclass(frozen=True, slots=True)
class SecretSpan:
    """Where a secret is in a text. The text from `first` to `last` identified it."""

    start: int
    end: int
    kind: str
    first: int
    last: int


def _word(kind: str, triggers: Iterable[str], start: str, rest: str, least: int, *, digit: bool = False) -> Pattern:
    """Return the pattern of a word: `start`, then at least `least` characters of `rest`, with a digit if `digit`."""
    begin = rf"(?<![A-Za-z0-9_-])(?:{start})"
    ahead = rf"(?=[{rest}]*\d)" if digit else ""
    secret, opened = rf"{begin}{ahead}[{rest}]{{{least},}}", rf"{begin}[{rest}]*"
    listed = tuple(triggers)
    lead = max(map(len, listed))
    needs = next((char for char in "_-." if all(char in trigger for trigger in listed)), "")
    return Pattern(kind, listed, re.compile(secret), re.compile(opened), lead=lead, needs=needs)


def is_card(text: str) -> bool:
    """Return whether the digits of a text pass the Luhn check of card numbers."""
    digits = [int(char) for char in reversed(text) if "0" <= char <= "9"]
    doubled = (2 * digit for digit in digits[1::2])
    return (sum(digits[::2]) + sum(value - 9 if value > 9 else value for value in doubled)) % 10 == 0


_ID = "A-Za-z0-9_-"
_BASE64 = "A-Za-z0-9._~+/=-"
_KEY_NAMES = r"(?<![a-z0-9])(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key)"
_SCHEMES = r"(?:basic|bearer|token|digest|negotiate|apikey)"
_AUTHORIZATION = r"(?i:authorization)[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
_ARMOUR = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
#: A credential has a digit in its first characters, a word has none.
_DIGIT_AHEAD = r"(?=[A-Za-z._~+/=-]{0,256}\d)"
_VALUE = r"[^\s\"'&,;<>()\[\]{}]"
_USER, _PASSWORD = r"[^\s/:@\"'<>\[\]]{0,100}", r"[^\s/@\"'<>\[\]]"
#: The prefixes of card networks, without spaces or in the groups printed on cards.
_CARD = (
    r"(?<![A-Za-z0-9])(?<!\d[.,])(?:"
    r"4\d{15}(?:\d{3})?|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|(?:6011|6[245]\d\d|35\d\d)\d{12}"
    r"|(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6011|6[245]\d\d|35\d\d)([ -])\d{4}\1\d{4}\1\d{4}"
    r"|3[47]\d\d([ -])\d{6}\2\d{5}|3[068]\d\d([ -])\d{6}\3\d{4}"
    r")(?![A-Za-z0-9])(?![.,]\d)"
)

PRIVATE_KEY = Pattern(
    "private_key",
    ("-----begin",),
    re.compile(rf"-----BEGIN {_ARMOUR}.*?(?:-----END {_ARMOUR}|\Z)", re.DOTALL),
    re.compile(rf"-----BEGIN(?: {_ARMOUR}(?:(?!-----END {_ARMOUR}).)*| [A-Z0-9 ]{{0,60}}-{{0,5}})?", re.DOTALL),
    lead=80,
    needs="-",
)
PATTERNS = (
    PRIVATE_KEY,
    _word("api_key", ["sk-"], "sk-", _ID, 16, digit=True),
    _word("api_key", ["sk_live_", "sk_test_", "rk_live_", "rk_test_"], "[sr]k_(?:live|test)_", "A-Za-z0-9", 10),
    _word("api_key", ["whsec_"], "whsec_", "A-Za-z0-9+/=", 16),
    _word("token", ["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], "gh[pousr]_", "A-Za-z0-9_", 20),
    _word("token", ["github_pat_"], "github_pat_", "A-Za-z0-9_", 20),
    _word("token", ["glpat-"], "glpat-", _ID, 16),
    _word("api_key", ["akia", "asia", "abia", "acca"], "AKIA|ASIA|ABIA|ACCA", "A-Z0-9", 16),
    _word("api_key", ["aiza"], "AIza", _ID, 30),
    _word("token", ["ya29."], r"ya29\.", _ID, 20),
    _word("token", [*(f"xox{char}-" for char in "abeoprs"), "xapp-"], "xox[abeoprs]-|xapp-", "A-Za-z0-9-", 10),
    _word("token", ["npm_"], "npm_", "A-Za-z0-9", 30),
    _word("token", ["pypi-"], "pypi-", _ID, 40),
    _word("token", ["hf_"], "hf_", "A-Za-z0-9", 30),
    _word("token", ["dop_v1_"], "dop_v1_", "a-f0-9", 40),
    _word("token", ["sws_", "swt_"], "sw[st]_", _ID, 20),
    _word("api_key", ["sg."], r"SG\.", "A-Za-z0-9_.-", 40),
    Pattern(
        "token",
        ("eyj",),
        re.compile(rf"(?<![{_ID}])eyJ[{_ID}]{{8,}}\.[{_ID}]{{8,}}(?:\.[{_ID}]*){{0,3}}"),
        re.compile(rf"(?<![{_ID}])eyJ[{_ID}]*(?:\.[{_ID}]*){{0,4}}\Z"),
        needs=".",
    ),
    Pattern(
        "token",
        ("authorization",),
        re.compile(
            rf"(?P<keep>{_AUTHORIZATION}(?i:{_SCHEMES})\s{{1,4}})[{_BASE64}]{{6,}}"
            rf"|{_AUTHORIZATION}{_DIGIT_AHEAD}[{_BASE64}]{{16,}}"
        ),
        re.compile(
            r"(?i:authorization)[\"']?\s{0,4}(?:[:=]\s{0,4}[\"']?"
            rf"(?:(?i:{_SCHEMES})\s{{1,4}})?[{_BASE64}]*)?"
        ),
        lead=40,
    ),
    Pattern(
        "token",
        ("bearer",),
        re.compile(rf"(?P<keep>(?i:(?<![a-z0-9])bearer)\s{{1,4}}){_DIGIT_AHEAD}[{_BASE64}]{{16,}}"),
        re.compile(rf"(?i:(?<![a-z0-9])bearer)(?:\s{{1,4}}[{_BASE64}]*)?\Z"),
    ),
    Pattern(
        "password",
        ("://",),
        re.compile(rf"(?P<keep>://{_USER}:){_PASSWORD}{{1,300}}(?P<end>@)"),
        re.compile(rf"://{_USER}(?::{_PASSWORD}{{0,300}})?\Z"),
        needs="@",
    ),
    Pattern(
        "secret",
        ("password", "passwd", "pwd", "secret", "token", "api_key", "apikey", "api-key", "access_key", "access-key"),
        re.compile(rf"(?P<keep>(?i:{_KEY_NAMES})\s{{0,3}}=\s{{0,3}}[\"']?){_VALUE}{{6,}}"),
        re.compile(rf"(?i:{_KEY_NAMES})\s{{0,3}}(?:=\s{{0,3}}[\"']?{_VALUE}*)?"),
        lead=20,
        needs="=",
    ),
    Pattern(
        "card",
        (),
        re.compile(_CARD, re.ASCII),
        re.compile(r"(?<![A-Za-z0-9])(?<!\d[.,])\d(?:[ -]?\d){0,19}[ -]?\Z", re.ASCII),
        is_card,
    ),
)
EMAIL = Pattern(
    "email",
    (),
    re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}"),
    re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}(?:@[A-Za-z0-9.-]{0,250})?\Z"),
)
#: The triggers of all patterns.
STARTS = tuple(sorted({trigger for pattern in PATTERNS for trigger in pattern.triggers}))


def fold(text: str) -> str:
    """Return `text` in lower case, with each character where it was."""
    lower = text.lower()
    # One Turkish capital becomes two characters.
    return lower if len(lower) == len(text) else "".join(char.lower()[:1] for char in text)


def find(pattern: Pattern, text: str, folded: str, begin: int = 0) -> Iterator[SecretSpan]:
    """Yield every match of one pattern in a text from `begin` on; `folded` is `fold(text)`."""
    if not pattern.triggers:
        for match in pattern.secret.finditer(text, begin):
            if pattern.check is None or pattern.check(match[0]):
                yield SecretSpan(match.start(), match.end(), pattern.kind, *match.span())
        return
    for trigger in pattern.triggers:
        place = folded.find(trigger, begin)
        while place >= 0:
            at_trigger = pattern.secret.match(text, place)
            if at_trigger is not None:
                yield _span(pattern, at_trigger)
            place = folded.find(trigger, at_trigger.end() if at_trigger is not None else place + 1)


def find_open(pattern: Pattern, text: str, begin: int = 0) -> int | None:
    """Return where the first text begins, from `begin` on, that may become such a secret when more text follows."""
    place = begin
    while match := pattern.opened.search(text, place):
        if match.end() == len(text):
            return match.start()
        # Matches inside this one end with it, except within its lead. Skipping it keeps the time linear.
        place = max(match.start() + 1, match.end() - pattern.lead)
    return None


def merge(spans: Iterable[SecretSpan]) -> list[SecretSpan]:
    """Return spans in order, with overlapping ones joined under the kind of the first."""
    merged: list[SecretSpan] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            first, end = min(last.first, span.first), max(last.end, span.end)
            merged[-1] = SecretSpan(last.start, end, last.kind, first, max(last.last, span.last))
        else:
            merged.append(span)
    return merged


def replace(text: str, spans: Sequence[SecretSpan]) -> str:
    """Return `text` with a marker in place of each span. Spans are merged."""
    if not spans:
        return text
    parts, done = [], 0
    for span in spans:
        parts += [text[done : span.start], f"[redacted:{span.kind}]"]
        done = span.end
    return "".join([*parts, text[done:]])


def _span(pattern: Pattern, match: re.Match[str]) -> SecretSpan:
    names = pattern.secret.groupindex
    start = match.end("keep") if "keep" in names and match["keep"] is not None else match.start()
    return SecretSpan(start, match.start("end") if "end" in names else match.end(), pattern.kind, *match.span())
