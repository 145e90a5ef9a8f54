"""Reads HTML into blocks: headings, paragraphs, list items and table rows.

If the page marks its main part (`main` or `article`), only that is kept; navigation, code, scripts and images never
are. Every other markup format is converted to HTML and read here.

libxml2 passes tokens, since building a tree takes quadratic time for nested elements. The page is read in pieces and no
deeper than `DEEPEST`, since an end tag without its start tag is searched among all open elements.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lxml import etree

from swallowtail.workers.reading.alphabets import SENTENCE_ENDS
from swallowtail.workers.reading.blocks import Block, BlockKind, clean

#: Most elements open at the same time; browsers stop at 512 too.
DEEPEST = 512
#: Characters passed to the parser before its depth is checked.
PIECE = 4096

_SKIPPED_TAGS = """
script style template noscript nav header footer aside button select textarea svg math iframe object canvas video audio
dialog pre caption label legend datalist rt rp del s strike
"""
_BLOCK_TAGS = """
p div section article main body ul ol li dl dt dd table tr blockquote figure figcaption hr br address details
summary h1 h2 h3 h4 h5 h6
"""
SKIPPED = frozenset(_SKIPPED_TAGS.split())
#: Frame elements that often contain the page's heading.
FRAME = frozenset({"header", "footer"})
BLOCKS = frozenset(_BLOCK_TAGS.split())
ITEMS = frozenset({"li", "dt", "dd", "tr"})
MAIN = frozenset({"main", "article"})
CODE = frozenset({"code", "samp"})
#: Elements that are not text of the page, by role (ARIA) or class (Sphinx, docutils, GitHub).
_NO_ROLES = """
navigation banner contentinfo search doc-toc doc-footnote doc-noteref doc-backlink dialog alertdialog menu menubar
toolbar tooltip
"""
_NO_CLASSES = """
headerlink toctree-wrapper footnote-reference footnotes system-message sphinxsidebar breadcrumb breadcrumbs sr-only
visually-hidden screen-reader-text mw-editsection navbox reflist catlinks comments skip-link byline
"""
#: Ids and classes of cookie consent banners, of common products too.
_CONSENT = re.compile(
    r"(?:^|[-_])(?:cookies?(?:$|.*(?:ba(?:nner|r)|notice|consent|dialog|modal|law|pop|message|overlay|layer|hint))"
    r"|consent|gdpr)|^(?:onetrust|cybot|didomi|usercentrics|truste|qc-cmp|sp_message|cc-(?:window|banner))"
)
#: Prefixes of links to footnotes and of the ids of footnotes.
_TO_NOTE = re.compile(r"#(?:_?ftn|_?edn|fn|footnote|endnote|cite_|note-|user-content-fn)")
_NOTE_ID = re.compile(r"(?:fn[-:\d]|footnote-\d|endnote-\d|cite_note|user-content-fn-)")
#: Characters that separate links in a row.
_PARTED = re.compile(r"(?:^|\s)[|·•/](?:\s|$)")
_UNSEEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.IGNORECASE)
ROLES = frozenset(_NO_ROLES.split())
CLASSES = frozenset(_NO_CLASSES.split())
#: A shorter link is navigation and not a sentence.
SHORTEST_LINK = 40
#: If this share of the letters on a line is in several links, the line is navigation.
MOSTLY = 0.6

Attributes = dict[str, str]


class _TooDeepError(Exception):
    """The page is nested deeper than `DEEPEST`."""


def read_html(html: str) -> tuple[str, list[Block], bool]:
    """Return the page's title, its blocks, and whether it was nested too deeply to be read completely."""
    page = _HtmlPage()
    parser = etree.HTMLParser(target=page)
    cut = False
    try:
        for start in range(0, len(html), PIECE):
            parser.feed(_printable(html[start : start + PIECE]))
        parser.close()
    except _TooDeepError:
        cut = True
    except etree.XMLSyntaxError:
        pass  # an empty page
    page.end_block()
    return page.title, page.main or page.blocks, cut


def _printable(text: str) -> str:
    """Return `text` without characters that end the parser's input: NUL, and lone surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")


class _HtmlPage:
    """Collects blocks of text from the parser's tokens; `main` holds those of the page's main part."""

    def __init__(self) -> None:
        self._titles: list[str] = []
        self.blocks: list[Block] = []
        self.main: list[Block] = []
        self._open: list[str] = []
        self._skipping = 0  # depth of open elements below the one that is left out
        self._count = dict.fromkeys((*ITEMS, *MAIN, *CODE, "a", "td", "title"), 0)
        self._level = 0
        self._words: list[str] = []
        self._linked: list[str] = []
        self._links = self._code = 0
        self._picture = ""

    @property
    def title(self) -> str:
        """The title in the page's head."""
        return clean("".join(self._titles))

    def start(self, tag: object, attributes: Attributes) -> None:
        """Handle the start of an element."""
        name = str(tag)
        self._open.append(name)
        if len(self._open) > DEEPEST:
            raise _TooDeepError
        if self._skipping or self._is_skipped(name, attributes):
            self._skipping += 1
            return
        if name in BLOCKS and self._in_row(name):
            self._words.append(" ")
        elif name in BLOCKS:
            self.end_block()
            self._level = int(name[1]) if re.fullmatch("h[1-6]", name) else self._level
        elif name in ("td", "th"):
            self._words.append(" – ")
        elif name == "img" and self._level:
            self._picture = self._picture or clean(attributes.get("alt") or "")
        self._links += name == "a"
        if name in self._count:
            self._count[name] += 1

    def end(self, tag: object) -> None:
        """Handle the end of an element."""
        name = str(tag)
        if self._open:
            self._open.pop()
        if self._skipping:
            self._skipping -= 1
            return
        if name in BLOCKS and not self._in_row(name):
            self.end_block(is_head=name == "tr" and not self._count["td"])
            self._level = 0 if re.fullmatch("h[1-6]", name) else self._level
        if name == "tr":
            self._count["td"] = 0
        if name in self._count and name != "td":
            self._count[name] = max(self._count[name] - 1, 0)

    def data(self, text: str) -> None:
        """Handle a piece of text."""
        if self._skipping:
            return
        if self._count["title"]:
            self._titles.append(text)
            return
        self._words.append(text)
        if self._count["a"]:
            self._linked.append(text)
        if any(self._count[name] for name in CODE):
            self._code += len(text.strip())

    def close(self) -> None:
        """Handle the end of the page."""

    def end_block(self, *, is_head: bool = False) -> None:
        """Close the current block; navigation, code and the header of a table leave none."""
        text = clean("".join(self._words)).removesuffix("¶").strip(" –") if self._words else ""
        if self._level == 1 and not text:
            text = self._picture
        is_block = (
            text and not is_head and (self._level or not (self._is_navigation(text) or 2 * self._code > len(text)))
        )
        if is_block:
            block = Block(self._kind(), text, self._level)
            self.blocks.append(block)
            if any(self._count[name] for name in MAIN):
                self.main.append(block)
        self._words, self._linked = [], []
        self._links = self._code = 0
        self._picture = ""

    def _in_row(self, name: str) -> bool:
        """Return whether a block is part of a table row, which is read as one line."""
        return self._count["tr"] > 0 and name not in ("tr", "table")

    def _kind(self) -> BlockKind:
        if self._level:
            return "heading"
        return "item" if any(self._count[name] for name in ITEMS) else "paragraph"

    def _is_skipped(self, name: str, attributes: Attributes) -> bool:
        if name in SKIPPED:
            return not (name in FRAME and any(self._count[part] for part in MAIN))
        if "hidden" in attributes or attributes.get("aria-hidden") == "true" or _is_note(name, attributes):
            return True
        if _UNSEEN.search(attributes.get("style") or ""):
            return True
        role, classes = ((attributes.get(key) or "").lower().split() for key in ("role", "class"))
        asks = any(_CONSENT.search(word) for word in (*classes, (attributes.get("id") or "").lower()))
        return name not in ("html", "body") and (asks or not (ROLES.isdisjoint(role) and CLASSES.isdisjoint(classes)))

    def _is_navigation(self, text: str) -> bool:
        """Return whether a block consists of links only; a single link that is a whole sentence is not navigation."""
        linked = clean("".join(self._linked))
        is_row = _PARTED.search(text) is not None or _letters(linked) >= MOSTLY * _letters(text)
        if self._links > 1 and is_row and text[-1] not in SENTENCE_ENDS:
            return True
        if not linked or _letters(text) > _letters(linked):
            return False
        return self._links > 1 or len(linked) < SHORTEST_LINK or linked[-1] not in SENTENCE_ENDS


def _is_note(name: str, attributes: Attributes) -> bool:
    """Return whether an element is a footnote or a reference to one."""
    if name == "a":
        return _TO_NOTE.match(attributes.get("href") or "") is not None
    is_mark = name == "sup" and "reference" in (attributes.get("class") or "").split()
    return is_mark or (name == "li" and _NOTE_ID.match(attributes.get("id") or "") is not None)


def _letters(text: Iterable[str]) -> int:
    return sum(char.isalnum() for char in text)
