"""What is read from a brief: blocks, titles, internal sections and facts."""

from __future__ import annotations

import pytest

from swallowtail.workers.agents.campaign.document import Document, make_document
from swallowtail.workers.agents.campaign.facts import LONGEST, MAX_FACTS, find_facts
from swallowtail.workers.agents.campaign.language import find_language
from swallowtail.workers.agents.campaign.phrases import find_phrases, make_hashtags
from swallowtail.workers.agents.campaign.readability import reading_grade
from swallowtail.workers.reading.blocks import Block, ReadDocument, clean
from swallowtail.workers.reading.reader import read_text
from tests.workers.agents.briefs import SAMPLE


def read_document(source: str) -> Document:
    return make_document(read_text(source))


def test_markdown_becomes_blocks_of_clean_text() -> None:
    source = (
        "---\ntitle: x\n---\n# The *big* title\r\n\r\nOne **line**,\nand [another](https://example.com) `line`.\n\n"
        "- an item\n- ![picture](p.png) with <b>words</b>\n\n> quoted\n\n| a | b |\n|---|---|\n| c | d |\n\n"
        "```\ncode\n```\n<!-- a\n\ncomment -->\nlast\n"
    )
    assert read_document(source).blocks == (
        Block("heading", "The big title", 1),
        Block("paragraph", "One line, and another line."),
        Block("item", "an item"),
        Block("item", "with words"),
        Block("paragraph", "quoted"),
        Block("item", "c – d"),
        Block("paragraph", "last"),
    )


def test_code_is_never_quoted() -> None:
    assert read_document("```\nonly code here\n```").blocks == ()


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


def test_sentences_that_address_the_writer_are_not_facts() -> None:
    blocks = [Block("paragraph", "Please do not say that it is cheap. The lamp costs 149 euros and lasts for years.")]
    assert [fact.text for fact in find_facts(blocks, [])] == ["The lamp costs 149 euros and lasts for years."]


def test_nearly_equal_sentences_are_quoted_once() -> None:
    text = "The lamp costs 149 euros in all shops. The lamp costs 149 euros in all our shops. It has a clamp for desks."
    assert len(find_facts([Block("paragraph", text)], [])) == 2


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (SAMPLE, "en"),
        ("Our new lamp: it follows the daylight.", "en"),
        ("Das Café am Hafen öffnet am 3. Mai 2026 in der Hafenstraße 12.", "de"),
        ("Le Café du Port ouvre ses portes le 3 mai, et il est ouvert tous les jours.", "fr"),
        ("El café del puerto abre el 3 de mayo y tiene una terraza para todos.", "es"),
        ("De lamp is gemaakt in Gent en kost niet veel.", "nl"),
        ("Lampan kostar 149 euro och håller i många år.", "sv"),
        ("Lampada da tavolo che costa poco e dura anni.", "it"),
        ("Aurora One desk lamp", ""),
        ("日本語のランプ", "ja"),
        ("北港文化馆将于五月三日开馆。", "zh"),
        ("항구 문화관은 5월 3일에 문을 엽니다.", "ko"),
        ("מרכז התרבות בנמל נפתח בשלושה במאי.", "he"),
        ("يفتتح مركز الميناء الثقافي أبوابه في الثالث من مايو.", "ar"),
        ("Дом Порта откроется 3 мая в городе, и вход в него бесплатный.", "ru"),
        ("O Centro do Porto abre no dia 3 de maio e tem 400 lugares.", "pt"),
        ("Wstęp pierwszego dnia jest bezpłatny, a w budynku są trzy sale.", "pl"),
        ("ศูนย์วัฒนธรรมท่าเรือจะเปิดในวันที่ 3 พฤษภาคม", "th"),
        ("बंदरगाह का सांस्कृतिक केंद्र तीन मई को खुलेगा।", "hi"),
        ("Aurora Oneは、窓の外の光に合わせて明るさを変えるランプです。", "ja"),
        ("149 24 7", ""),
        ("", ""),
    ],
    ids=lambda value: value[:20],
)
def test_the_language_is_found_or_said_not_to_be_clear(text: str, language: str) -> None:
    assert find_language(text) == language


def test_an_ordinal_with_a_full_stop_ends_no_sentence_in_german() -> None:
    blocks = [Block("paragraph", "Das Café öffnet am 3. Mai 2026 am Hafen. Es hat vierzig Plätze auf der Terrasse.")]
    assert [fact.text for fact in find_facts(blocks, [], "de")] == [
        "Das Café öffnet am 3. Mai 2026 am Hafen.",
        "Es hat vierzig Plätze auf der Terrasse.",
    ]


def test_a_sentence_with_remaining_markup_is_not_a_fact() -> None:
    blocks = [Block("paragraph", "See .. image:: lamp.png for the lamp that lights it all. The lamp costs 149 euros.")]
    assert [fact.text for fact in find_facts(blocks, [])] == ["The lamp costs 149 euros."]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "港の文化館「ミナトホール」は五月三日に開館します。初日の入場は無料です！「また来たい。ここが好きだ。」と町の人は言います。",
            [
                "港の文化館「ミナトホール」は五月三日に開館します。",
                "初日の入場は無料です！",
                "「また来たい。ここが好きだ。」と町の人は言います。",
            ],
        ),
        (
            "北港文化馆将于五月三日开馆。“欢迎大家来参观我们。”馆长在开馆前这样说。",
            ["北港文化馆将于五月三日开馆。", "“欢迎大家来参观我们。”", "馆长在开馆前这样说。"],
        ),
        (
            "هل الدخول إلى المركز مجاني؟ نعم، الدخول مجاني في اليوم الأول.",
            ["هل الدخول إلى المركز مجاني؟", "نعم، الدخول مجاني في اليوم الأول."],
        ),
        ("पहले दिन प्रवेश निःशुल्क है। इसमें चार सौ सीटें हैं।", ["पहले दिन प्रवेश निःशुल्क है।", "इसमें चार सौ सीटें हैं।"]),
    ],
    ids=["ja", "zh", "ar", "hi"],
)
def test_sentences_end_by_the_marks_of_their_script(text: str, sentences: list[str]) -> None:
    facts = find_facts([Block("paragraph", text)], [], "")
    assert [fact.text for fact in sorted(facts, key=lambda fact: fact.position)] == sentences


@pytest.mark.parametrize(
    "sentence", ["See the manual, or , for more about all of it.", "By Ann | 3 May 2026 | 5 min read"]
)
def test_an_incomplete_sentence_and_a_line_of_parts_are_not_facts(sentence: str) -> None:
    blocks = [Block("paragraph", "The lamp costs 149 euros and lasts for years."), Block("item", sentence)]
    assert [fact.text for fact in find_facts(blocks, [])] == ["The lamp costs 149 euros and lasts for years."]


@pytest.mark.parametrize("heading", ["社内メモ", "内部资料", "Служебное: не публиковать", "Nota riservata", "פנימי"])
def test_sections_for_the_team_are_found_in_other_scripts(heading: str) -> None:
    assert read_document(f"# A\n\npublic\n\n## {heading}\n\nsecret\n").left_out == (heading,)


@pytest.mark.parametrize("heading", ["Interne Hinweise", "Tonalität", "Vertraulich", "Ne pas publier", "Notas para"])
def test_sections_for_the_team_are_left_out_in_other_languages_too(heading: str) -> None:
    document = read_document(f"# A\n\npublic\n\n## {heading}\n\nsecret\n")
    assert ([block.text for block in document.blocks], document.left_out) == (["A", "public"], (heading,))


def test_a_title_in_the_metadata_stands_in_for_a_missing_heading() -> None:
    blocks = (Block("heading", "Part", 2), Block("paragraph", "text"))
    assert make_document(ReadDocument("pdf", "Product brief: Aurora One", blocks)).title == "Aurora One"
    assert make_document(ReadDocument("pdf", "x", (Block("heading", "Aurora", 1), *blocks))).title == "Aurora"


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


@pytest.mark.parametrize(
    ("source", "title"),
    [
        (
            ".. image:: b.png\n\n|b|\n\nDonations\n=========\n\nGive.\n\nWhat it is\n==========\n\nText.\n",
            "",
        ),
        ("## Features\n\nMany.\n\n## Install\n\nEasily.\n", ""),
        ("# Features\n\nMany.\n\n# Install\n\nEasily.\n", ""),
        ("# Aurora\n\nA lamp.\n\n# Prices\n\nLow.\n", "Aurora"),
        ("Aurora\n======\n\nA lamp, *as* `it` is.\n\nPrices\n------\n\nLow.\n", "Aurora"),
    ],
)
def test_the_first_of_many_sections_is_not_a_title(source: str, title: str) -> None:
    assert read_document(source).title == title


@pytest.mark.parametrize(
    "sentence",
    [
        "The documentation is to be found at https://example.org/docs today.",
        "Fix the schema of the serializer, by @somebody in #14223",
        "Write to ann@example.org to learn more about all this.",
        "Start it with lamp --port 80 and open the page.",
        "Lecture notes in computer science are in all the volumes, pp.",
        "Papers by Campos and others, and also by Jatowt A.",
        "Which now allows us to use it directly from the line...",
        "0.9.x – 1, 2 – 1, 2 – 3.4, 5.6 – none",
    ],
)
def test_addresses_options_and_truncated_sentences_are_not_facts(sentence: str) -> None:
    blocks = [Block("paragraph", "The lamp costs 149 euros and lasts for years."), Block("item", sentence)]
    assert [fact.text for fact in find_facts(blocks, [])] == ["The lamp costs 149 euros and lasts for years."]
