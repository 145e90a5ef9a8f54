"""Turns a web page into Markdown that keeps headings, paragraphs, list items and table rows. Off the road of an event:
the fetcher uses it inside a step.

When the page marks its main part (`main` or `article`), only that is kept; navigation, forms and scripts never are.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

_SKIPPED_TAGS = """
script style template noscript nav header footer aside button select textarea svg math iframe object canvas video audio
dialog
"""
_BLOCK_TAGS = """
p div section article main body ul ol li dl dt dd table tr blockquote pre figure figcaption hr br address details
summary h1 h2 h3 h4 h5 h6
"""
SKIPPED = frozenset(_SKIPPED_TAGS.split())
#: Parts of the page's frame outside its main part, but often the heading inside it.
FRAME = frozenset({"header", "footer"})
HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
BLOCKS = frozenset(_BLOCK_TAGS.split())
MAIN = frozenset({"main", "article"})

_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset=[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
_MARKUP = re.compile(r"([\\`*_\[\]<>&|~])")
#: Marked sections (`<![CDATA[…`, `<![if …]>`), which have no meaning in HTML and stop Python's parser.
_SECTION = re.compile(r"<!\[[^>]*>")
_LEADING = re.compile(r"^([-+=#>])|^(\d{1,9})([.)])")


def decode_page(body: bytes, charset: str | None, *, is_html: bool) -> str:
    """The text of a body, by its declared character set, else UTF-8; bytes that do not fit become U+FFFD."""
    declared = _CHARSET.search(body[:4096]) if is_html and charset is None else None
    name = declared[1].decode("ascii") if declared else charset or "utf-8"
    try:
        return body.decode("utf-8-sig" if name.lower() in ("utf-8", "utf8") else name, "replace")
    except LookupError:  # a character set that does not exist
        return body.decode("utf-8", "replace")


def html_to_markdown(html: str) -> str:
    """The readable part of an HTML page as Markdown, starting with the page's title when it has no h1."""
    page = _Page()
    page.feed(_SECTION.sub(" ", html).replace("<![", "&lt;!["))
    page.close()
    page.end_block()
    blocks = page.main or page.blocks
    if page.title and not any(block.startswith("# ") for block in blocks):
        blocks = [f"# {_escape(page.title)}", *blocks]
    return "\n\n".join(blocks) + "\n" if blocks else ""


class _Page(HTMLParser):
    """Collects blocks of text; `main` holds those inside the page's main part."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.blocks: list[str] = []
        self.main: list[str] = []
        self._words: list[str] = []
        self._prefix = ""
        self._skipping: list[str] = []
        self._in_main = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in SKIPPED and not (self._in_main and tag in FRAME):
            self._skipping.append(tag)
        if tag == "title" and not self._skipping:
            self._in_title = True
        if tag in BLOCKS:
            self.end_block()
            self._prefix = HEADINGS.get(tag, "- " if tag in ("li", "dt", "dd") else self._prefix)
        elif tag in ("td", "th") and self._words:
            self._words.append(" – ")
        if tag in MAIN:
            self._in_main += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in self._skipping:
            del self._skipping[self._skipping.index(tag) :]
        if tag == "title":
            self._in_title = False
        if tag in BLOCKS:
            self.end_block()
            self._prefix = ""
        if tag in MAIN:
            self._in_main = max(self._in_main - 1, 0)

    def handle_data(self, data: str) -> None:
        if self._in_title and not self.title:
            self.title = " ".join(data.split())
        elif not self._skipping and not self._in_title:
            self._words.append(data)

    def end_block(self) -> None:
        """Close the block being read; one without words leaves nothing."""
        text = " ".join("".join(self._words).split())
        self._words.clear()
        if text:
            block = self._prefix + _escape(text)
            self.blocks.append(block)
            if self._in_main:
                self.main.append(block)
            self._prefix = ""


def _escape(text: str) -> str:
    """Text that Markdown reads back unchanged."""
    text = _MARKUP.sub(r"\\\1", text)
    return _LEADING.sub(lambda match: f"\\{match[1]}" if match[1] else f"{match[2]}\\{match[3]}", text)
