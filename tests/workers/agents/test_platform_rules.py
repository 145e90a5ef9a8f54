"""Every draft is within the rules of its platform, for any brief, and each platform counts as documented."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from swallowtail.testing import FakeContext
from swallowtail.workers.agents import social_campaign
from swallowtail.workers.agents.campaign.platforms import (
    PLATFORMS,
    count_shortened,
    count_threads,
    count_utf16,
    count_x,
)
from swallowtail.workers.llm.provider import Tone
from swallowtail.workers.llm.wording import cut, drop_hashtags, hashtags, mentions
from swallowtail.workers.run.outcomes import PermanentError
from tests.workers.agents.briefs import EVERYWHERE, campaign

TONES: list[Tone] = ["friendly", "professional", "playful", "bold", "plain"]

WORDS = st.one_of(
    st.text(min_size=1, max_size=12),
    st.sampled_from(
        [
            "#tag",
            "#１",
            "＃全角",
            "@you",
            "https://example.com/a?b=c#d",
            "example.com",
            "👩‍👩‍👧‍👦",
            "🇩🇪🇫🇷",
            "é̂",
            "1,234.5",
        ]
    ),
    st.sampled_from(
        [
            "Aurora One",
            "lamp",
            "desk.",
            "costs",
            "€149",
            "!!!",
            "?!",
            "**bold**",
            "`code`",
            "| a |",
            "日本語のランプ",
        ]
    ),
    st.integers(1, 400).map(lambda size: "x" * size),
    st.integers(1, 200).map(lambda size: "語" * size),
)
LINES = st.tuples(
    st.sampled_from(["", "# ", "## ", "- ", "1. ", "> ", "    ", "| "]), st.lists(WORDS, max_size=25)
).map(lambda line: line[0] + " ".join(line[1]))
BRIEFS = st.lists(LINES, min_size=1, max_size=12).map("\n\n".join)


@pytest.mark.long
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    brief=BRIEFS,
    tone=st.sampled_from(TONES),
    audience=st.text(max_size=120),
    link=st.sampled_from([None, "https://example.com/" + "p" * 150, "https://localhost/" + "q" * 100]),
    strict=st.booleans(),
)
@example(brief="x" * 99_000, tone="bold", audience="", link=None, strict=False)
@example(brief="👩‍👩‍👧‍👦" * 3000 + "a", tone="playful", audience="👋" * 120, link=None, strict=True)
@example(brief="# " + "#a " * 300 + "\n\n" + "#b #c #d. " * 100, tone="friendly", audience="", link=None, strict=False)
@example(brief="日本語。" * 500, tone="plain", audience="", link=None, strict=True)
def test_every_draft_of_every_brief_is_within_the_rules(
    brief: str, tone: Tone, audience: str, link: str | None, strict: bool
) -> None:
    if not brief.strip():
        return
    brand = {"banned_words": ["lamp"], "required_phrases": ["Made in Ghent", "r" * 80, "s" * 80, "t" * 80]}
    ctx = FakeContext()
    try:
        request = campaign(
            brief, platforms=EVERYWHERE, tone=tone, audience=audience, link=link, brand=brand if strict else {}
        )
        social_campaign.run(ctx, request)
    except PermanentError:
        return  # no words to work from
    for step in ctx.steps:
        if step.action == "generate_content":
            platform = PLATFORMS[step.output["platform"]]
            text = step.output["text"]
            assert platform.measure(text) <= platform.limit, text
            assert len(hashtags(text)) <= platform.max_hashtags, text
            assert text == text.strip()


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("plain text", 10),
        ("café", 4),
        ("cafe\u0301", 4),  # counted composed
        ("日本", 4),
        ("👋", 2),
        ("…", 2),
        ("“quoted” – text", 15),
        ("see https://example.com/" + "a" * 100, 27),
        ("see https://t.co", 27),
        ("see example.com", 27),
        ("mail me@example.com", 19),
        ("https://localhost/abc", 21),  # not a link to X
    ],
)
def test_x_counts_by_weight(text: str, length: int) -> None:
    assert count_x(text) == length


def test_the_other_platforms_count_as_they_say() -> None:
    assert count_utf16("a👋") == 3
    assert count_threads("a👋é") == 6
    assert count_shortened("see https://example.com/" + "a" * 100) == 27
    assert count_shortened("see example.com") == 15


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("#One two #three_3, (#four)", ["#One", "#three_3", "#four"]),
        ("#1 is no tag, #1st is", ["#1st"]),
        ("a#b &#39; https://example.com/#part", []),
        ("＃全角", ["#全角"]),
        ("##double", []),
    ],
)
def test_hashtags_are_seen_as_the_platforms_see_them(text: str, tags: list[str]) -> None:
    assert hashtags(text) == tags


@given(text=st.text(max_size=200))
def test_bare_text_has_no_hashtags(text: str) -> None:
    assert hashtags(drop_hashtags(text)) == []


@given(text=st.text(max_size=120), limit=st.integers(0, 80))
def test_cut_text_fits_and_is_a_start_of_the_text(text: str, limit: int) -> None:
    result = cut(text, limit, count_x)
    assert count_x(result) <= limit
    if result != text:
        assert result == "" or (result.endswith("…") and text.startswith(result[:-1].rstrip()))


def test_cut_keeps_words_and_visible_characters_whole() -> None:
    assert cut("one two three four", 12, len) == "one two…"
    assert cut("one, two", 5, len) == "one…"
    assert cut("👩‍👩‍👧", 4, len) == ""
    assert cut("🇩🇪🇫🇷", 2, len) == ""
    assert cut("abc", 0, len) == ""


def test_mentions_means_whole_words() -> None:
    assert mentions("The Best\n lamp.", "best lamp")
    assert not mentions("bestow", "best")
    assert not mentions("anything", "  ")


def test_words_are_found_and_texts_cut_where_there_are_no_spaces() -> None:
    assert mentions("これは安いランプです。", "安い")
    assert mentions("Aurora Oneのランプ", "aurora one")
    assert not mentions("Auroras Oneのランプ", "aurora")
    assert cut("港の文化館は、五月三日に開館します。", 8, len) == "港の文化館は…"
    assert cut("Aurora Oneは窓の外の光に合わせます。", 13, len) == "Aurora Oneは窓…"
