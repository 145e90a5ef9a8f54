"""Hostile text: four times as much of it takes at most six times the work, for every function that searches it."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from swallowtail.app.core.events import clean, to_json
from swallowtail.app.core.logs.unlogged_output import LineStream
from swallowtail.app.core.privacy.redaction import redact, redact_text
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.privacy.secret_patterns import EMAIL, PATTERNS, Pattern, fold
from swallowtail.app.core.privacy.stream_redaction import TextStream
from swallowtail.app.core.validation import check_json
from tests.harness.scaling import check_scaling
from tests.harness.settings import make_settings

SETTINGS = make_settings(max_body_bytes=1 << 30)
RULES = Rules(names=frozenset({"password"}), emails=True)
#: What patterns of several parts begin with, beside their triggers.
BEGINNINGS = {
    "private_key": ["-----BEGIN PRIVATE KEY-----", "-----BEGIN " + "A" * 30, "-----END PRIVATE KEY", "-----"],
    "password": ["://a:", "://" + "u" * 90 + ":"],
    "card": ["4", "4111 1111 1111 111", "4111 ", "34-", "1234 5678 ", "4111111111111112,"],
    "email": ["a@", "a@b.", "%", "a@" + "b." * 9, "a" * 63 + "@"],
}
SPELT = {begin: begin.upper() for begin in ("-----begin", "akia", "asia", "abia", "acca", "sg.")} | {
    "aiza": "AIza",
    "eyj": "eyJ",
}
GLUES = ["", "=", " = ", " ", ": ", ".", "-", "_", "@", "a", "1", "/", '"', "\n", "=bearer ", " aaaaaaaa.", "0 " * 3]


def for_each(work: Callable[[str], object]) -> Callable[[list[str]], None]:
    # All at once: a single one that is quadratic is most of the sum.
    def all_of_them(texts: list[str]) -> None:
        for text in texts:
            work(text)

    return all_of_them


def in_pieces(length: int, rules: Rules = RULES) -> Callable[[str], object]:
    def work(text: str) -> None:
        stream = TextStream(rules)
        for place in range(0, len(text), length):
            stream.feed(text[place : place + length])
        stream.finish()

    return work


def bad_texts(pattern: Pattern, size: int) -> list[str]:
    """Return repetitions of each beginning of a secret, joined by separators, without a secret at the end."""
    texts = []
    for begin in [*pattern.triggers, *BEGINNINGS.get(pattern.kind, [])]:
        spelt = SPELT.get(begin, begin)
        texts += [(f"{spelt}{glue}" * size)[:size] + " \x01" for glue in GLUES]
    return texts


@pytest.mark.long
@pytest.mark.parametrize("pattern", [*PATTERNS, EMAIL], ids=lambda pattern: "_".join([pattern.kind, *pattern.triggers]))
def test_no_repetition_of_the_beginning_of_a_secret_is_slow(pattern: Pattern) -> None:
    check_scaling(for_each(lambda text: redact_text(text, RULES)), partial(bad_texts, pattern), 6_000)
    check_scaling(for_each(in_pieces(1 << 20)), partial(bad_texts, pattern), 6_000)


@pytest.mark.parametrize(
    "unit",
    ["authorization=", "token=", "SG.", "-----BEGIN PRIVATE KEY-----", "eyJ.", "a@b.", "bearer =", "4111 1111 "],
)
def test_one_long_piece_takes_linear_time(unit: str) -> None:
    text = partial(repeated, unit, "-----END PRIVATE KEY-----, \x01")
    check_scaling(lambda text: redact_text(text, RULES), text, 12_000)
    check_scaling(in_pieces(1 << 20), text, 12_000)


@pytest.mark.parametrize(
    ("start", "unit"),
    [("", "token="), ("-----BEGIN PRIVATE KEY-----", "MII\n"), ("sk-", "a"), ("://u:", "p"), ("x" * 9, " plain text")],
)
def test_text_that_is_held_back_takes_linear_time_in_small_pieces(start: str, unit: str) -> None:
    check_scaling(in_pieces(2), lambda size: start + repeated(unit, "", size), 1_900)


@pytest.mark.parametrize("unit", ["sk-achf_", "gho_token", "a", "%", "token=\u00e9"])
def test_a_word_that_is_too_long_to_hold_takes_linear_time_by_characters(unit: str) -> None:
    check_scaling(in_pieces(1), partial(repeated, unit, "\n"), 6_000)


def repeated(unit: str, end: str, size: int) -> str:
    return (unit * size)[:size] + end


@pytest.mark.parametrize(("value", "unit"), [("a", "a"), ("ab" * 9, "ab"), ("open sesame ", "open sesame")])
def test_a_long_secret_value_is_found_in_streamed_text_without_comparing_it_at_every_place(
    value: str, unit: str
) -> None:
    def stream(size: int) -> None:
        hidden = Rules(values=(repeated(value, "!" + "a" * size, size),))
        in_pieces(size // 4, hidden)(repeated(unit, "", 2 * size))

    check_scaling(stream, lambda size: size, 3_000)


@pytest.mark.parametrize(
    "make",
    [
        lambda size: {f"ghp_{place:036d}": 1 for place in range(size)},
        lambda size: {f"[redacted:token] {place}": 1 for place in range(size)} | {"ghp_" + "a" * 36: 1},
        lambda size: [[] for _ in range(size)],
        lambda size: {"password": [f"hidden {place}" for place in range(size)], "said": ["hidden 1, hidden"] * size},
        lambda size: [4111111111111111] * size,
        lambda size: {"k" * size: ["v"] * size},
        lambda size: ["\u0130 token=abcdefgh "] * size,
    ],
    ids=["secret_keys", "taken_keys", "lists", "hidden_values", "cards", "long_key", "turkish"],
)
def test_payloads_are_redacted_in_linear_time(make: Callable[[int], Any]) -> None:
    check_scaling(lambda value: redact(value, RULES.with_secrets_of(value)), make, 1_000)
    check_scaling(lambda value: check_json(value, "input", SETTINGS), make, 1_000)


@pytest.mark.parametrize("unit", ["\u0130", "\ud800", "\x00", "\U0001f600", "a"])
def test_text_is_folded_and_cleaned_in_linear_time(unit: str) -> None:
    for walk in (fold, clean, lambda text: to_json([text, {text: text}])):
        check_scaling(walk, partial(repeated, unit, ""), 20_000)


def test_output_without_an_end_of_line_takes_linear_time_and_is_not_held() -> None:
    def dots(size: int) -> None:
        stream = LineStream(io.StringIO(), "dots", logging.DEBUG)
        for _ in range(size):
            stream.write("........")

    check_scaling(dots, lambda size: size, 10_000)
