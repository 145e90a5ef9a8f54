"""Streamed text: a secret that is split over pieces is hidden as if it came in one piece; other text is not held."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from swallowtail.app.core.privacy.redaction import redact_text
from swallowtail.app.core.privacy.redaction_rules import Rules
from swallowtail.app.core.privacy.stream_redaction import LONGEST_WAITING, TextStream

RULES = Rules(emails=True, values=("open sesame now",))
TEXT = (
    "Hello joe@example.com use " + "sk-" + "abc123def456ghi789jkl now; card 4111 1111 1111 1111, Authorization: Bearer "
    "abc123abc123abc123xyz\n-----BEGIN RSA " + "PRIVATE KEY-----\nMIIabc\nxyz\n-----END RSA " + "PRIVATE KEY-----\n"
    "redis://u:pa55word@h/0 password = hunter22x and open sesame now ok, ris" + "k-management-2024-yes; a token"
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=80))
def test_the_redaction_of_a_stream_does_not_depend_on_its_pieces(sizes: list[int]) -> None:
    stream, shown, place = TextStream(RULES), "", 0
    for size in sizes * len(TEXT):
        shown += stream.feed(TEXT[place : place + size])
        assert redact_text(TEXT, RULES).startswith(shown)
        place += size
        if place >= len(TEXT):
            break
    assert shown + stream.finish() == redact_text(TEXT, RULES)


def test_text_in_which_nothing_can_become_a_secret_is_not_held_back() -> None:
    stream = TextStream(Rules())
    assert [stream.feed(piece) for piece in ("The quick ", "brown fox. ", "Über allen Gipfeln ")] == [
        "The quick ",
        "brown fox. ",
        "Über allen Gipfeln ",
    ]


def test_a_key_that_never_ends_is_hidden_without_being_kept() -> None:
    stream = TextStream(Rules())
    shown = stream.feed("x -----BEGIN " + "PRIVATE KEY-----\n")
    for _ in range(LONGEST_WAITING // 10):
        shown += stream.feed("MIIEvQIBADANBgkqhkiG9w0BAQ\n")
    shown += stream.feed("-----END PRI") + stream.feed("VATE KEY----- after") + stream.finish()
    assert shown == "x [redacted:private_key] after"


def test_a_word_that_never_ends_and_begins_as_a_key_does_is_hidden() -> None:
    stream = TextStream(Rules())
    shown = stream.feed("x " + "sk-1")
    for _ in range(LONGEST_WAITING // 10):
        shown += stream.feed("MIIEvQIBADANBgkqhkiG9w0BAQ")
    assert shown + stream.feed(" after") + stream.finish() == "x [redacted:api_key] after"


def test_a_secret_value_is_found_wherever_it_is_cut_also_when_it_repeats_its_own_beginning() -> None:
    value = "abcabcabdabcabcabe" * 3
    text = "abcabc" + value[:40] + value + "ab"
    for size in range(1, 60):
        stream = TextStream(Rules(values=(value,)))
        shown = [stream.feed(text[place : place + size]) for place in range(0, len(text), size)]
        assert "".join([*shown, stream.finish()]) == "abcabc" + value[:40] + "[redacted:secret]ab"


def test_a_token_with_alternative_prefix_letters_is_never_shown_in_part() -> None:
    stream = TextStream(Rules())
    assert (
        stream.feed("use xox" + "b") + stream.feed("-123456789012-abcdef") + stream.finish() == "use [redacted:token]"
    )


def test_a_long_word_that_waits_is_shown_whole_in_the_end() -> None:
    text = "see ://user:" + "p" * 280 + " and " + "password=" + "v" * 700 + "\nend"
    for size in (1, 3, 50):
        stream = TextStream(Rules())
        shown = [stream.feed(text[place : place + size]) for place in range(0, len(text), size)]
        assert "".join([*shown, stream.finish()]) == redact_text(text, Rules())


def test_a_task_with_too_many_secret_values_streams_no_text() -> None:
    stream = TextStream(Rules(hides_all=True))
    assert stream.feed("anything") + stream.finish() == ""
