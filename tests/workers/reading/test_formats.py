"""The content decides the format of a document; markup, badges, code and navigation are left out."""

from __future__ import annotations

import pytest

from swallowtail.workers.reading.blocks import Bounds, UnreadableError
from swallowtail.workers.reading.formats import find_text_format
from swallowtail.workers.reading.reader import read, read_text
from tests.workers.agents.briefs import SAMPLE
from tests.workers.reading.samples import GERMAN, HTML, MARKDOWN, RST, docx, pdf, read_blocks


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (RST, "restructuredtext"),
        (MARKDOWN, "markdown"),
        (HTML, "html"),
        (GERMAN, "plain"),
        (SAMPLE, "markdown"),
        ("<div><p>a</p></div>", "html"),
        ("<!-- x -->\n<HTML><p>a", "html"),
        ("Title\n=====\n\nA **bold** word.", "markdown"),
        ("Title\n~~~~~\n\nText.", "restructuredtext"),
        ("=====\nTitle\n=====\n\nText.", "restructuredtext"),
        ("See `the page <https://example.com>`_ for more.", "restructuredtext"),
        ("# Title\n\n.. not a directive, only two points", "markdown"),
        ("```rst\n.. note:: x\n```\n\n# Title", "markdown"),
        ("Only words. And 2 < 3.", "plain"),
        ("• one\n• two", "plain"),
        ("", "plain"),
    ],
    ids=str,
)
def test_the_content_decides_the_format(source: str, expected: str) -> None:
    assert find_text_format(source) == expected
    assert find_text_format(source, "text/plain", "brief.txt") == expected


def test_a_name_or_a_media_type_decides_only_what_the_content_leaves_open() -> None:
    assert find_text_format("Only words.", "text/markdown") == "markdown"
    assert find_text_format("Only words.", name="https://example.com/README.rst") == "restructuredtext"
    assert find_text_format(RST, "text/markdown", "README.md") == "restructuredtext"


def test_restructuredtext_is_read_without_its_markup() -> None:
    assert read_blocks(RST) == [
        "# Tideline",
        (
            "Tideline predicts the water level of small harbours for the next 48 hours. It reads the gauges of 1,200 "
            "stations. See the documentation and the guide."
        ),
        "Forecasts are updated every 15 minutes.",
        "# Installation",
        "Then open it:",
        "Use tideline.Station for a single harbour.",
        "Ostend – 4.2 metres",
        "# Donations",
    ]


def test_restructuredtext_can_reach_no_file_of_this_machine() -> None:
    for source in (
        ".. include:: /etc/passwd\n\n.. raw:: html\n   :file: /etc/passwd\n\nText.",
        ".. csv-table:: x\n   :file: /etc/passwd\n\n.. literalinclude:: /etc/passwd\n\nText.",
        ".. raw:: html\n\n   <p>raw</p>\n\nText.",
    ):
        assert read_blocks(source) == ["Text."]


def test_markdown_is_read_without_its_markup_and_the_dialects_of_it() -> None:
    assert read_blocks(MARKDOWN) == [
        "# Tideline",
        "Tideline 2 is out since March 2026.",
        "Tideline predicts the water level of small harbours for the next 48 hours. It is free for all.",
        "# Install",
        "Works offline for three days",
        "Windows service",
        "See Wiki page and missing ref.",
    ]


def test_the_front_matter_of_markdown_gives_its_title() -> None:
    reading = read_text('---\ntitle: "Aurora One"\nlayout: page\n---\nA *lamp* for desks.\n')
    assert (reading.title, [block.text for block in reading.blocks]) == ("Aurora One", ["A lamp for desks."])


def test_short_lines_of_a_plain_text_are_its_headings() -> None:
    assert read_blocks(GERMAN)[::2][:2] == ["# Das Café am Hafen", "# Interne Hinweise"]
    assert read_blocks("First line\nof one paragraph.\n\n- an item\n  of two lines\n2) another\n") == [
        "First line of one paragraph.",
        "an item of two lines",
        "another",
    ]


def test_a_word_document_is_read_by_its_styles() -> None:
    document = docx(("Titel", "Aurora One"), ("berschrift1", "Light"), ("", "It lights &amp; warms."))
    reading = read(document)
    assert reading.format == "docx"
    assert read_blocks(document) == ["# Aurora One", "# Light", "It lights & warms."]


def test_a_pdf_is_read_line_by_line_into_paragraphs() -> None:
    document = pdf(
        "Aurora One",
        "Aurora One is a desk lamp that follows the daylight outside your win-",
        "dow and fills in only what is missing, all day and in every room.",
        "Prices",
        "The lamp costs 149 euros.",
        title="Aurora One desk lamp",
    )
    reading = read(document)
    assert (reading.format, reading.title) == ("pdf", "Aurora One desk lamp")
    assert read_blocks(document) == [
        "# Aurora One",
        (
            "Aurora One is a desk lamp that follows the daylight outside your window and fills in only what is "
            "missing, all day and in every room."
        ),
        "# Prices",
        "The lamp costs 149 euros.",
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"PK\x03\x04 broken", "Word document is broken"),
        (b"%PDF-1.7 broken", "PDF is broken"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 50, "old kind"),
        (b"{\\rtf1 x}", "Rich Text"),
        (b"\x89PNG\r\n", "an image"),
        (b"\x7fELF\0\0\0", "binary file"),
    ],
)
def test_a_file_that_is_not_a_document_is_refused_with_its_format(body: bytes, message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        read(body)


def test_a_packed_file_that_would_unpack_to_too_much_is_refused_before() -> None:
    bomb = docx(("", "x"), more={"word/media/zeros.bin": b"\0" * 3_000_000})
    assert len(bomb) < 20_000
    with pytest.raises(UnreadableError, match="unpacks to more than 1000000 bytes"):
        read(bomb, bounds=Bounds(unpacked=1_000_000))
    assert read_blocks(bomb) == ["x"]


def test_a_longer_text_is_cut_and_marked_as_cut() -> None:
    reading = read_text("word " * 30_000)
    assert reading.cut
    assert sum(len(block.text) for block in reading.blocks) <= 100_000


MAIL = """From: Ann <ann@example.org>
To: team@example.org
Subject: Re: The Aurora One desk lamp
Date: Mon, 3 May 2027 10:00:00 +0200
{more}
{body}"""


def test_an_e_mail_is_read_without_headers_quotations_and_signature() -> None:
    answer = "On Monday Bob wrote:\n> send\n> facts\n\nBest regards,\nAnn\n\n-- \nAnn\nHead\n"
    body = f"Hi all,\n\nThe lamp costs 149 euros.\n\n{answer}"
    reading = read(MAIL.format(more="", body=body).encode())
    assert (reading.title, [block.text for block in reading.blocks]) == (
        "The Aurora One desk lamp",
        ["The lamp costs 149 euros."],
    )


def test_the_text_of_an_e_mail_is_decoded_in_any_form() -> None:
    more = "MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=x\n"
    body = (
        "--x\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
        "Die Lampe hat gr=C3=BCnes Licht.\n--x\nContent-Type: text/html\n\n<p>other\n--x--\n"
    )
    assert [block.text for block in read(MAIL.format(more=more, body=body).encode()).blocks] == [
        "Die Lampe hat grünes Licht."
    ]


def test_a_text_with_a_colon_in_its_first_lines_is_not_an_e_mail() -> None:
    assert read(b"Note: this is a lamp.\nPrice: 149 euros.\n\nIt lasts.\n").title == ""


def test_a_consent_banner_is_not_text_of_a_page() -> None:
    page = (
        b"<html><body><div class='cookie-banner'><p>Accept all?</p></div><div id=consent><p>No</p></div><p>A lamp.</p>"
    )
    assert [block.text for block in read(page).blocks] == ["A lamp."]
