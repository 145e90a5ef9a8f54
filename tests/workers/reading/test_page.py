"""HTML pages: what is kept and left out, invalid pages, and a reading time that is linear in their length."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swallowtail.workers.reading.blocks import Block, clean
from swallowtail.workers.reading.html import read_html
from swallowtail.workers.reading.reader import read_text
from tests.harness.scaling import check_scaling
from tests.workers.reading.samples import HTML, read_blocks


@pytest.mark.parametrize(
    ("html", "blocks"),
    [
        ("", []),
        ("just text", ["just text"]),
        ("<h2>Two</h2><p>a<br>b</p>", ["Two", "a", "b"]),
        ("<ul><li>one<li><p>two</p></ul>", ["one", "two"]),
        ("<table><tr><th>a<th>b<tr><td>c<td><p>d</p></table>", ["c – d"]),
        ("<p>a &amp; b &lt;c&gt;</p>", ["a & b <c>"]),
        ("<script>x</script><style>y</style><nav>z</nav><footer>f</footer><p>kept", ["kept"]),
        ("<body><p>out</p><article><header><h1>Title</h1></header>in</article>", ["Title", "in"]),
        ("<nav><button>x</nav><p>kept", ["kept"]),
        ("<![CDATA[x]]><p>kept<![if IE]>", ["kept"]),
        ("<form><p>kept</p></form>", ["kept"]),
        ("<p>one\0two", ["one two"]),
        ("<h1><img alt='Tideline'></h1><p><a href=x><img alt=badge></a>", ["Tideline"]),
        ("<p><a>Docs</a> • <a>Donate</a></p><p>See <a>this</a>.", ["See this."]),
        (
            "<p><a>A link that is a whole sentence says something.</a>",
            ["A link that is a whole sentence says something."],
        ),
        ("<pre>x = 1</pre><p><code>pip install x</code></p><p>Run <code>x</code> once a day.", ["Run x once a day."]),
    ],
)
def test_pages_become_blocks_of_text(html: str, blocks: list[str]) -> None:
    assert [block.text for block in read_html(html)[1]] == blocks


def test_a_whole_page_gives_its_main_part_and_its_title() -> None:
    reading = read_text(HTML)
    assert (reading.format, reading.title) == ("html", "Tideline – Shop")
    assert read_blocks(HTML) == ["# Tideline", "Tideline predicts the water level.", "Free & open"]


@settings(deadline=None)
@given(st.text(alphabet="<>/!-[]&;=\"'pabh1 \n\0", max_size=80))
def test_no_page_is_an_error(html: str) -> None:
    read_html(html)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_text_of_a_page_reads_back_as_it_was(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    joined = " ".join(block.text for block in read_html(f"<p>{escaped}</p>")[1])
    assert joined == clean(text.replace("\x85", " ")).removesuffix("¶").strip(" –")


FLOODS = {
    "open tags": "<a b",
    "nested": "<div>",
    "lists": "<ul><li>",
    "formatting": "<b><p>",
    "unclosed": "<i></p>",
    "wrongly closed": "<div></x>",
    "crossed": "<a><div></a>",
    "comments": "<!--",
    "declarations": "<!",
    "entities": "&amp",
    "no entities": "&notanentity",
    "titles": "a</title><title>",
    "items": "<li>x",
    "cells": "<td>x",
    "rules": "<br>",
    "quotes": '<a b="',
    "less than": "<",
    "charsets": "<meta charset=",
}


@pytest.mark.parametrize("unit", FLOODS.values(), ids=FLOODS)
def test_the_cost_of_a_page_grows_with_its_length_and_not_with_its_square(unit: str) -> None:
    check_scaling(read_html, lambda size: unit * (size // len(unit)), 12_000)


def test_the_cost_of_attributes_grows_with_their_number() -> None:
    check_scaling(read_html, lambda count: "<a " + " ".join(f"a{n}=1" for n in range(count)) + ">", 2_000)


def test_too_deep_nesting_is_cut_and_reported() -> None:
    reading = read_text("<html><p>seen</p>" + "<div>" * 5000 + "never seen")
    assert (reading.blocks, reading.cut) == ((Block("paragraph", "seen"),), True)
