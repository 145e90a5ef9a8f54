"""Reading briefs: blocks, titles, internal sections, key phrases, hashtags, facts."""

from __future__ import annotations

import pytest

from tests.workers.agents.briefs import SAMPLE
from workers.agents.campaign.document import Block, clean, read_document
from workers.agents.campaign.facts import LONGEST, MAX_FACTS, find_facts
from workers.agents.campaign.phrases import find_phrases, make_hashtags
from workers.agents.campaign.readability import reading_grade


def test_markdown_becomes_blocks_of_clean_text() -> None:
    source = (
        "---\ntitle: x\n---\n# The *big* title\r\n\r\nOne **line**,\nand [another](https://example.com) `line`.\n\n"
        "- an item\n- ![picture](p.png) with <b>words</b>\n\n> quoted\n\n| a | b |\n|---|---|\n| c | d |\n\n"
        "```\ncode\n```\n<!-- a\n\ncomment -->\n    indented\n"
    )
    assert read_document(source).blocks == (
        Block("heading", "The big title", 1),
        Block("paragraph", "One line, and another line."),
        Block("item", "an item"),
        Block("item", "with words"),
        Block("paragraph", "quoted"),
        Block("item", "c – d"),
        Block("paragraph", "indented"),
    )


def test_a_source_that_is_only_code_is_read_as_text() -> None:
    assert read_document("```\nonly code here\n```").blocks == (Block("paragraph", "``` only code here ```"),)


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("# Launch brief: Aurora One\n\nText.", "Aurora One"),
        ("# Product launch brief for the Aurora One\n\nText.", "Aurora One"),
        ("# Aurora One – creative brief\n\nText.", "Aurora One"),
        ("# Brief\n\nText.", "Brief"),
        ("## Second\n\n# First\n", "First"),
        ("A short first line\n\nMore text.", "A short first line"),
        ("A long first paragraph. " * 20, ""),
        ("# " + "word " * 60, ("word " * 24).strip()),
    ],
)
def test_the_title_is_the_subject_of_the_brief(source: str, title: str) -> None:
    assert read_document(source).title == title


def test_internal_sections_end_at_the_next_heading_of_their_level() -> None:
    source = (
        "# A\n\npublic one\n\n## Internal notes\n\nsecret\n\n### Even deeper\n\nsecret\n\n## Prices\n\npublic two\n"
    )
    document = read_document(source)
    assert [block.text for block in document.blocks] == ["A", "public one", "Prices", "public two"]
    assert document.left_out == ("Internal notes",)


def test_control_and_formatting_characters_are_removed() -> None:
    assert clean("a\x00b\u202ec\ufeffd\t e\u200d") == "a b c d e\u200d"


def test_the_sample_gives_its_real_subject_and_facts() -> None:
    blocks = list(read_document(SAMPLE).blocks)
    phrases = find_phrases(blocks)
    assert phrases[:3] == ["Aurora One", "desk lamp", "light module"]
    assert make_hashtags(phrases)[:3] == ["#AuroraOne", "#DeskLamp", "#LightModule"]
    facts = find_facts(blocks, phrases)
    assert len(facts) == MAX_FACTS
    assert facts[0].text.startswith("Aurora One is a desk lamp that follows the daylight")
    assert all(len(fact.text) <= LONGEST for fact in facts)
    assert [fact.score for fact in facts] == sorted((fact.score for fact in facts), reverse=True)


def test_short_texts_give_phrases_and_facts_too() -> None:
    blocks = [Block("paragraph", "Swallowtail shows every event. It is free.")]
    assert find_phrases(blocks)
    assert [fact.text for fact in find_facts(blocks, [])] == ["Swallowtail shows every event."]


def test_a_text_without_sentences_is_quoted_as_it_is() -> None:
    assert [fact.text for fact in find_facts([Block("heading", "Lamp")], [])] == ["Lamp"]
    assert [fact.text for fact in find_facts([Block("paragraph", "x" * 500)], [])] == ["x" * 500]


def test_sentences_that_speak_to_the_writer_are_not_facts() -> None:
    blocks = [Block("paragraph", "Please do not say that it is cheap. The lamp costs 149 euros and lasts for years.")]
    assert [fact.text for fact in find_facts(blocks, [])] == ["The lamp costs 149 euros and lasts for years."]


def test_nearly_equal_sentences_are_quoted_once() -> None:
    text = "The lamp costs 149 euros in all shops. The lamp costs 149 euros in all our shops. It has a clamp for desks."
    assert len(find_facts([Block("paragraph", text)], [])) == 2


@pytest.mark.parametrize(
    ("phrases", "tags"),
    [
        (["desk lamp", "Desk Lamp"], ["#DeskLamp"]),
        (["USB-C port"], ["#USBCPort"]),
        (["2026", "3D printing"], []),
        (["the world’s best"], ["#TheWorldsBest"]),
        (["x" * 31], []),
        (["Überblick"], ["#Überblick"]),
    ],
)
def test_hashtags_are_made_of_letters_and_figures(phrases: list[str], tags: list[str]) -> None:
    assert make_hashtags(phrases) == tags


def test_reading_grades_rise_with_longer_words_and_sentences() -> None:
    easy = reading_grade("The lamp is on. It is warm. I like it.")
    hard = reading_grade(
        "Comprehensive illumination infrastructures necessitate interdisciplinary considerations throughout."
    )
    assert 0 <= easy < 2 < 12 < hard


def test_tags_links_and_emoji_do_not_count_for_the_grade() -> None:
    plain = reading_grade("The lamp is on.\nIt is warm.")
    assert (
        reading_grade("• The lamp is on 👋\n- It is warm #Illumination https://example.com/incomprehensible") == plain
    )
    assert reading_grade("") == reading_grade("👋 #tag") == 0.0
