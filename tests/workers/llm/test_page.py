"""HTML pages as Markdown: what is kept, what is not, and that nothing breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.agents.campaign.document import clean, read_document
from workers.llm.page import html_to_markdown


@pytest.mark.parametrize(
    ("html", "markdown"),
    [
        ("", ""),
        ("just text", "just text\n"),
        ("<title> The  page </title><p>Text", "# The page\n\nText\n"),
        ("<title>Page</title><h1>Real title</h1>", "# Real title\n"),
        ("<h2>Two</h2><p>a<br>b</p>", "## Two\n\na\n\nb\n"),
        ("<ul><li>one<li><p>two</p></ul>", "- one\n\n- two\n"),
        ("<table><tr><th>a<th>b<tr><td>c<td>d</table>", "a – b\n\nc – d\n"),
        ("<p>a &amp; b &lt;c&gt;</p>", "a \\& b \\<c\\>\n"),
        ("<p># no heading</p><p>1. no list</p>", "\\# no heading\n\n1\\. no list\n"),
        ("<script>x</script><style>y</style><nav>z</nav><footer>f</footer><p>kept", "kept\n"),
        ("<body><p>out</p><article><header><h1>Title</h1></header>in</article>", "# Title\n\nin\n"),
        ("<nav><button>x</nav><p>kept", "kept\n"),
        ("<![CDATA[x]]><p>kept<![if IE]>", "kept\n"),
        ("<form><p>kept</p></form>", "kept\n"),
    ],
)
def test_pages_become_markdown(html: str, markdown: str) -> None:
    assert html_to_markdown(html) == markdown


@given(st.text(alphabet="<>/!-[]&;=\"'pabh1 \n", max_size=80))
def test_no_page_is_an_error(html: str) -> None:
    html_to_markdown(html)


@given(st.text(alphabet=st.characters(exclude_characters="\r\0", codec="utf-8"), min_size=1, max_size=60))
def test_text_of_a_page_reads_back_as_it_was(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    document = read_document(html_to_markdown(f"<p>{escaped}</p>"))
    assert " ".join(block.text for block in document.blocks) == clean(text)
