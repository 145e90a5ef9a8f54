"""Documents of every kind, each with exactly the text that may be quoted."""

from __future__ import annotations

import json

import pytest

from swallowtail.workers.agents.campaign.document import make_document
from swallowtail.workers.reading.pdf_docx import without_frames
from swallowtail.workers.reading.reader import read, read_text
from tests.harness.scaling import check_scaling
from tests.workers.reading.samples import pdf, read_blocks

MARKDOWN = """\
---
title: Driftwood
---
English | [Deutsch](README.de.md) | [日本語](README.ja.md)

# Driftwood

It works without a network.[^1] It costs ~~199~~ 149 euros. See the [docs] for more.
[docs]: ./docs.md "Docs"

!!! note "Mind the gap"
    Updates arrive every Monday.

    They are free.

=== "Tab"
    ??? tip
        Hidden until it is opened.

> [!TIP]+
> The app needs 80 megabytes.

```mermaid
graph TD; A-->B;
```

Term
: What the term means.

$$
E = mc^2 \\quad
$$

*[HTML]: Hyper Text Markup Language

[^1]: Tested in 2025 by many people,
    on a mountain.

![[embedded.png]] %% a comment %% {{< youtube abc >}}
"""


def test_additions_of_markdown_dialects_are_read() -> None:
    assert read_text(MARKDOWN).title == "Driftwood"
    assert read_blocks(MARKDOWN) == [
        "# Driftwood",
        "It works without a network. It costs 149 euros. See the docs for more.",
        "Updates arrive every Monday.",
        "They are free.",
        "Hidden until it is opened.",
        "The app needs 80 megabytes.",
        "Term",
        "What the term means.",
    ]


def test_front_matter_in_toml_is_not_text() -> None:
    reading = read_text('+++\ntitle = "Driftwood"\ndate = 2026-01-01\n+++\n\nIt draws *maps*.\n')
    assert (reading.format, reading.title) == ("markdown", "Driftwood")
    assert [block.text for block in reading.blocks] == ["It draws maps."]


@pytest.mark.parametrize(
    "part",
    [
        '<div class="js-cookie-banner"><p>No</p></div>',
        '<div id="onetrust-banner-sdk"><p>No</p></div>',
        '<div role="dialog"><p>No</p></div>',
        '<p style="display: none">No</p>',
        '<span class="sr-only">No</span>',
        '<sup class="reference"><a href="#cite_note-1">[1]</a></sup>',
        '<sup><a href="#footnote-1">[1]</a></sup><ol><li id="footnote-1">No</li></ol>',
        "<form><label>No</label></form>",
        "<p><del>No</del></p>",
        "<p><rt>No</rt></p>",
        "<p>Share: <a>One</a> | <a>Two</a></p>",
    ],
)
def test_parts_of_a_page_that_are_not_its_text_are_left_out(part: str) -> None:
    assert read_blocks(f"<html><body><p>A kite.</p>{part}</body></html>") == ["A kite."]


def test_a_name_with_an_html_suffix_does_not_make_html_of_text() -> None:
    source = "# The Kite\n\nIt flies in *winds*.\n"
    for reading in (read(source.encode(), name="x.html"), read(source.encode(), "text/html")):
        assert reading.format == "markdown"
        assert [block.text for block in reading.blocks] == ["The Kite", "It flies in winds."]


ASCIIDOC = """\
= Kite Eight
Ann Writer <ann@example.org>
:toc:

image::kite.png[A kite]

The kite flies in *winds*, see link:https://x[the page] and <<install>>.footnote:[No.]

NOTE: It weighs 420 grams.

[[install]]
== Install

[source,bash]
----
npm install kite
----

|===
|Size |Price

|8 metres |249 euros
|===

* First item
// a comment
include::other.adoc[]
"""
ORG = """\
#+TITLE: Kite Eight
#+OPTIONS: toc:nil

* Overview                            :tag:
  :PROPERTIES:
  :CUSTOM_ID: x
  :END:
  The kite flies in *winds*, see [[https://x][the page]].
#+BEGIN_SRC bash
npm install kite
#+END_SRC
  - [X] It weighs 420 grams
"""
WIKI = """\
== Kite Eight ==
The '''kite''' flies in [[wind|winds]].<ref>No</ref> {{Infobox kite|size=8}}
{| class="wikitable"
|-
! Size
|}
* It weighs 420 grams.
[[Category:Kites]]
"""


@pytest.mark.parametrize(
    ("source", "expected", "blocks"),
    [
        (
            ASCIIDOC,
            "asciidoc",
            [
                "# Kite Eight",
                "The kite flies in winds, see the page and install.",
                "It weighs 420 grams.",
                "# Install",
                "8 metres – 249 euros",
                "First item",
            ],
        ),
        (ORG, "org", ["# Overview", "The kite flies in winds, see the page.", "It weighs 420 grams"]),
        (WIKI, "mediawiki", ["# Kite Eight", "The kite flies in winds.", "It weighs 420 grams."]),
        (
            json.dumps(
                {"name": "Kite", "about": "It flies in winds.", "sizes": [8, "L"], "more": {"x": ["It is red."]}}
            ),
            "json",
            ["It flies in winds.", "It is red."],
        ),
        (
            'name,price,about\nKite,249,"It flies, in winds"\nNine,349,It is larger\n',
            "csv",
            ["Kite – 249 – It flies, in winds", "Nine – 349 – It is larger"],
        ),
        ("<?xml version='1.0'?><a><b>Kite</b><c>It flies in winds.</c></a>", "xml", ["It flies in winds."]),
        ("name: Kite Eight\nabout: It flies in winds.\nprice: 249\n", "plain", ["# Kite Eight", "It flies in winds."]),
        ("Price: 249 euros\nColour: red\n", "plain", ["Price: 249 euros", "Colour: red"]),
        ("#!/bin/sh\nset -e\nx=1\n$ run it\n", "code", []),
        ("import os\n\ndef fly(wind):\n    # It flies.\n    return wind\n", "code", []),
        ("const a = 1;\nfunction f() {\n  return 2;\n}\n", "code", []),
        ("[server]\nport = 80\n", "code", []),
        ("\\documentclass{article}\n\\title{Kite}\n\\begin{document}\n", "code", []),
        ("2026-11-28 04:45:01,123 INFO Started\n2026-11-28 04:45:02,123 WARN Full\n", "code", []),
        ("Nov 28 04:45:01 host sshd[1]: Accepted\nNov 28 04:45:02 host kernel: usb\n", "code", []),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_other_markup_and_data_are_read_by_their_content(source: str, expected: str, blocks: list[str]) -> None:
    assert (read_text(source).format, read_blocks(source)) == (expected, blocks)


@pytest.mark.parametrize(
    "source",
    [
        "Apples, pears and plums.\nWe sell them, all year, in our shop.\n",
        "It is small; it is light.\nIt flies; it lands.\n",
        "We import kites from Ghent.\nReturn them within a month.\n",
        "For all who fly: a kite.\nIf it rains: wait.\n",
    ],
)
def test_prose_is_not_classified_as_data(source: str) -> None:
    assert read_text(source).format == "plain"
    assert read_blocks(source)


def test_a_title_in_data_is_the_documents() -> None:
    assert make_document(read_text('{"title": "Kite Eight", "text": "It flies in winds."}')).title == "Kite Eight"
    assert make_document(read_text(ORG)).title == "Kite Eight"


FRENCH = "De : Ann <a@x.org>\nÀ : b@x.org\nObjet : Re: Le cerf-volant\n\nBonjour,\n\n{}\n\nCordialement,\nAnn\n"
ITALIAN = "Da: Ann <a@x.org>\nA: b@x.org\nOggetto: R: L'aquilone\n\nCiao,\n\n{}\n\nCordiali saluti,\nAnn\n"
RUSSIAN = "От: Аня <a@example.org>\nКому: b@example.org\nТема: Змей\n\nЗдравствуйте,\n\n{}\n\nС уважением,\nАня\n"


@pytest.mark.parametrize(
    ("mail", "title"), [(FRENCH, "Le cerf-volant"), (ITALIAN, "L'aquilone"), (RUSSIAN, "Змей")], ids=["fr", "it", "ru"]
)
def test_e_mails_in_other_languages_are_read_without_their_heads_and_ends(mail: str, title: str) -> None:
    reading = read_text(mail.format("Kites fly in winds."))
    assert (reading.title, [block.text for block in reading.blocks]) == (title, ["Kites fly in winds."])


def test_a_message_that_is_passed_on_is_read_and_one_that_is_answered_is_not() -> None:
    head = "From: Ann <a@example.org>\nTo: b@example.org\nSubject: Fwd: Kite\n\nSee below.\n\n"
    inner = "From: Carl <c@example.org>\nSubject: Kite\n\nThe kite flies.\n"
    assert read_blocks(f"{head}---------- Forwarded message ---------\n{inner}") == ["See below.", "The kite flies."]
    assert read_blocks(f"{head}-----Original Message-----\n{inner}") == ["See below."]


def test_page_numbers_and_repeated_lines_are_left_out() -> None:
    pages = [["Report 2026", "It flies", "page 1"], ["Report 2026", "in winds.", "Seite 2 von 3"], ["x"], []]
    assert without_frames(pages) == [["It flies"], ["in winds."], ["x"], []]
    assert without_frames([["One line"], ["Another line"]]) == [["One line"], ["Another line"]]
    assert read_blocks(pdf("It flies in winds from 8 to 35 knots and it is great.", "- 3 -")) == [
        "It flies in winds from 8 to 35 knots and it is great."
    ]


def test_text_in_a_script_without_spaces_is_joined_without_any() -> None:
    for source in ("港の文化館は\n五月に開館します。\n", "<p>港の文化館は\n 五月に開館します。</p>"):
        assert read_blocks(source) == ["港の文化館は五月に開館します。"]
    assert read_blocks("港の文化館は五月に開館します。\n\n入口\n\n無料です。\n")[1] == "# 入口"


FLOODS = (
    "!!! x\n",
    "$$ a\n",
    "[[a|",
    "{| a\n|-\n",
    "a: b\n",
    "''' a",
    "{{a",
    "<ref ",
    "a,b\n",
    '{"a":',
    "<?xml ?><a ",
    "「。",
)


@pytest.mark.parametrize("unit", FLOODS)
def test_the_cost_of_any_kind_grows_with_its_length(unit: str) -> None:
    check_scaling(read_text, lambda size: unit * (size // len(unit)), 8_000)
