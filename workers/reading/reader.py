"""Reads a document of any known format, within limits of size but not of time.

Only the process that `subprocess_reader` starts, and tests, call it directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from swallowtail.workers.reading.blocks import Block, Bounds, ReadDocument
from swallowtail.workers.reading.charsets import decode
from swallowtail.workers.reading.formats import find_packed_format, find_text_format
from swallowtail.workers.reading.html import read_html
from swallowtail.workers.reading.mail import open_mail
from swallowtail.workers.reading.markdown import read_markdown, read_plain
from swallowtail.workers.reading.structured_data import read_data
from swallowtail.workers.reading.wiki_markup import read_asciidoc, read_mediawiki, read_org

_MARKUP: dict[str, Callable[[str], tuple[str, list[Block], bool]]] = {
    "asciidoc": read_asciidoc,
    "markdown": read_markdown,
    "mediawiki": read_mediawiki,
    "org": read_org,
}
#: Longest title in characters.
LONGEST_TITLE = 300


def read(
    body: bytes, media_type: str = "", charset: str | None = None, name: str = "", bounds: Bounds | None = None
) -> ReadDocument:
    """Read `body`; media type, character set and name are hints. Raises UnreadableError."""
    bounds = bounds or Bounds()
    packed = find_packed_format(body)
    if packed is not None:
        from swallowtail.workers.reading.pdf_docx import read_docx, read_pdf

        title, blocks, cut = read_pdf(body, bounds) if packed == "pdf" else read_docx(body, bounds)
        return _limit_blocks(ReadDocument(packed, title, tuple(blocks), cut), bounds)
    text = decode(body, charset, is_html="html" in media_type or body.lstrip()[:1] == b"<")
    return read_text(text, media_type, name, bounds)


def read_text(text: str, media_type: str = "", name: str = "", bounds: Bounds | None = None) -> ReadDocument:
    """Read a text: HTML, reStructuredText, Markdown or plain; of an e-mail, the writer's text."""
    bounds = bounds or Bounds()
    if (mail := open_mail(text[: bounds.unpacked])) is not None:
        subject, text, media_type = mail
        read_inside = _read_text(text, media_type, "", bounds)
        return replace(read_inside, title=subject or read_inside.title)
    return _read_text(text, media_type, name, bounds)


def _read_text(text: str, media_type: str, name: str, bounds: Bounds) -> ReadDocument:
    text_format = find_text_format(text, media_type, name)
    title, cut = "", False
    if text_format == "html":
        title, blocks, cut = read_html(text)
    elif text_format != "json" and len(text) > bounds.characters:  # more than half of it could not be read
        text, cut = text[: bounds.characters], True
    read_markup = _MARKUP.get(text_format)
    if text_format == "restructuredtext":
        from swallowtail.workers.reading.restructuredtext import read_restructured

        read_markup = read_restructured
    if read_markup is not None:
        title, blocks, deep = read_markup(text)
        cut = cut or deep
    elif text_format == "plain":
        blocks = read_plain(text)
    elif text_format in ("json", "csv", "xml", "code"):
        title, blocks = read_data(text, text_format)
    return _limit_blocks(ReadDocument(text_format, title, tuple(blocks), cut), bounds)


def _limit_blocks(reading: ReadDocument, bounds: Bounds) -> ReadDocument:
    """Return the reading without the blocks beyond the limit."""
    blocks = tuple(_first(reading.blocks, bounds.characters))
    whole = sum(len(block.text) for block in blocks) == sum(len(block.text) for block in reading.blocks)
    return ReadDocument(reading.format, reading.title[:LONGEST_TITLE], blocks, reading.cut or not whole)


def _first(blocks: Iterable[Block], characters: int) -> Iterable[Block]:
    left = characters
    for block in blocks:
        if left <= 0:
            return
        yield Block(block.kind, block.text[:left], block.level)
        left -= len(block.text)
