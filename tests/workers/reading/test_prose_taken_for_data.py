"""Prose that partly looks like data, code, logs or quoted mail is not lost."""

from __future__ import annotations

import json

import pytest

from swallowtail.workers.agents.campaign.facts import find_facts
from swallowtail.workers.reading.blocks import Block
from swallowtail.workers.reading.charsets import decode
from swallowtail.workers.reading.reader import read, read_text
from tests.harness.scaling import check_scaling
from tests.workers.reading.samples import read_blocks

CODE = "\n".join(f"    const value{number} = call({number});" for number in range(40))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("– gratuit ;\n– rapide ;\n– fiable.\n", "gratuit"),
        ("Wir liefern:\n\n- schnell;\n- leise;\n- ohne Plastik;\n- überall.\n", "ohne Plastik"),
        (
            "12/03/2026 Launch in Berlin\n19/03/2026 Press day in Munich\n26/03/2026 Fair in Bonn\n",
            "Press day in Munich",
        ),
        ("10:00:00 Doors open for all\n11:30:00 The talk begins\n12:00:00 Lunch is served\n", "The talk begins"),
        (f"# The Kite\n\nIt flies in light winds.\n\n```js\n{CODE}\n```\n", "It flies in light winds."),
        ("FAQ\n===\n\nIt flies in light winds.\n", "It flies in light winds."),
    ],
)
def test_a_text_with_lines_like_those_of_data_is_read(source: str, expected: str) -> None:
    assert expected in " ".join(read_blocks(source))


def test_a_name_identifies_a_text_full_of_code_as_a_document() -> None:
    source = f"The Kite\n\nIt flies in light winds.\n\n{CODE}\n"
    assert "It flies in light winds." in [block.text for block in read(source.encode(), name="kite.md").blocks]


def test_three_equal_signs_underline_a_heading_and_leave_code_below_it_code() -> None:
    assert read_blocks("FAQ\n===\n\n    int x = 5;\n\nIt *flies*.\n") == ["# FAQ", "It flies."]


def test_a_heading_between_dashes_does_not_end_a_mail() -> None:
    mail = (
        "From: Ann\nSubject: News\n\nHello Bob,\n\nThe kite is new.\n\n--- Our new prices ---\n\nIt costs 20 euros.\n"
    )
    assert "It costs 20 euros." in " ".join(read_blocks(mail))
    answered = "\n----- Original message -----\nFrom: Eve\nSubject: Old\n\nThis was said before.\n"
    text = " ".join(read_blocks(mail + answered))
    assert "It costs 20 euros." in text
    assert "said before" not in text


def test_data_of_any_length_is_recognized() -> None:
    rows = [{"name_of_field": number, "text": f"The kite number {number} is blue."} for number in range(2_000)]
    assert read_text(json.dumps(rows)).format == "json"
    assert "name_of_field" not in " ".join(read_blocks(json.dumps(rows)))
    table = "id,colour,note\n" + "\n".join(f'{number},"blue, dark",fine' for number in range(4_000))
    assert read_text(table).format == "csv"


@pytest.mark.parametrize("begin", range(3))
def test_a_letter_that_is_cut_where_guessing_ends_makes_no_other_character_set(begin: int) -> None:
    text = "a" * (20_000 - 3 + begin) + "’ and then é, ü and ñ"
    assert decode(text.encode(), None) == text


@pytest.mark.parametrize("unit", [".", "!…", "a.", "。"])
def test_sentences_are_found_in_linear_time(unit: str) -> None:
    def find(text: str) -> object:
        return find_facts([Block("paragraph", text)], [], "en")

    check_scaling(find, lambda size: "a" + unit * (size // len(unit)), 4_000)


@pytest.mark.parametrize("line", ["* a{}b", "* a{}:", "|{}|"])
@pytest.mark.parametrize("unit", [" ", "1", ":a"])
def test_a_line_of_org_or_asciidoc_is_read_in_linear_time(line: str, unit: str) -> None:
    def make(size: int) -> str:
        return f"#+TITLE: Kite\n#+AUTHOR: Ann\n{line.format(unit * (size // len(unit)))}\n"

    check_scaling(read_text, make, 3_000)
