"""Reads Markdown and plain text into blocks."""

from __future__ import annotations

import re
from itertools import zip_longest

from markdown_it import MarkdownIt

from swallowtail.workers.reading.alphabets import SENTENCE_ENDS
from swallowtail.workers.reading.blocks import Block, clean
from swallowtail.workers.reading.html import read_html
from swallowtail.workers.reading.markdown_dialects import make_plain, split_front, without_dialect
from swallowtail.workers.reading.structured_data import is_code

_BULLET = re.compile(r"^\s*(?:[•●▪◦*·–—+-]|\d{1,3}[.)])\s+")
_FIELD = re.compile(r"^\s{0,8}([^\W_][^:\n]{0,40}):(?:[ \t]+(.*))?$")
#: A longer line, in characters, is not a heading.
LONGEST_HEADING = 80


def read_markdown(source: str) -> tuple[str, list[Block], bool]:
    """Return the title in the front matter, the blocks, and whether the text was nested too deeply."""
    title, source = split_front(source.replace("\r\n", "\n").replace("\r", "\n"))
    page = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(make_plain(source))
    _, blocks, cut = read_html(page)
    blocks = [part for block in blocks for part in without_dialect(block)]
    return title, blocks if any(block.level for block in blocks) else _with_headings(blocks), cut


def read_plain(source: str) -> list[Block]:
    """Return the blocks of plain text: empty lines separate paragraphs; a short single line is a heading."""
    paragraphs = re.split(r"\n[ \t\f\v]*\n", source.replace("\r\n", "\n").replace("\r", "\n"))
    chunks = [part for part in (paragraph.strip("\n") for paragraph in paragraphs) if part.strip()]
    blocks: list[Block] = []
    for number, chunk in enumerate(chunks):
        lines = chunk.split("\n")
        if is_code(lines) or not re.search(r"[^\W\d_]", chunk):
            continue
        lines = [line for line in lines if re.search(r"\w", line)]
        if len(lines) == 1 and number + 1 < len(chunks) and looks_like_heading(chunk):
            blocks.append(Block("heading", clean(chunk), 2 if blocks else 1))
        else:
            blocks += _read_fields(lines, is_first=not blocks) or join_lines(lines)
    return [block for block in blocks if block.text]


def _read_fields(lines: list[str], *, is_first: bool) -> list[Block]:
    """Return the fields of a data sheet, one per line; without names in lower case, which come from a program."""
    fields = [(line, _FIELD.match(line)) for line in lines]
    if sum(field is not None for _, field in fields) < 2 or not all(
        field or _BULLET.match(line) for line, field in fields
    ):
        return []
    blocks: list[Block] = []
    for line, field in fields:
        if field is None:
            blocks += join_lines([line])
        elif field[1].lower() in ("title", "name") and is_first and not blocks:
            blocks.append(Block("heading", clean(field[2] or ""), 1))
        elif field[1] != field[1].lower():
            blocks.append(Block("item", clean(line)))
        elif " " in (field[2] or "").strip():
            blocks.append(Block("item", clean(field[2])))
    return blocks


def _with_headings(blocks: list[Block]) -> list[Block]:
    """Return the blocks; without marked headings, short single lines become headings, as in plain text."""
    result: list[Block] = []
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.kind == "paragraph" and following is not None and looks_like_heading(block.text):
            block = Block("heading", block.text, 2 if result else 1)
        result.append(block)
    return result


def looks_like_heading(line: str) -> bool:
    """Return whether a single line is a heading: short, not a list item, not a sentence."""
    text = clean(line)
    return 0 < len(text) <= LONGEST_HEADING and text[-1] not in f"{SENTENCE_ENDS};,，、；" and not _BULLET.match(line)


def join_lines(lines: list[str]) -> list[Block]:
    """Return one block of the lines, or one for each line that begins with a bullet."""
    parts: list[tuple[bool, list[str]]] = []
    for line in lines:
        bullet = _BULLET.match(line)
        if bullet or not parts:
            parts.append((bullet is not None, []))
        parts[-1][1].append(line[bullet.end() :] if bullet else line)
    return [Block("item" if listed else "paragraph", clean("\n".join(words))) for listed, words in parts]
