"""Reads Markdown and plain text into blocks. Off the road of an event: documents are read by it inside a step."""

from __future__ import annotations

import re
from itertools import zip_longest

from markdown_it import MarkdownIt

from workers.reading.blocks import Block, clean
from workers.reading.page import read_html

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,20000}?)\n(?:---|\.\.\.)[ \t]*\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:[ \t]*(.{1,300})$", re.MULTILINE)
#: What dialects of Markdown add (GitHub, Jekyll, wikis), and what stays of it.
_DIALECTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"!\[[^\[\]]{0,200}\](?:\([^()\s]{0,500}\)|\[[^\[\]]{0,100}\])"), ""),
    (re.compile(r"\[([^\[\]]{0,200})\]\([^()\s]{0,500}\)"), r"\1"),
    (re.compile(r"^\[[ xX]\]\s|^\[!\w{1,20}\]\s?|\[\^[^\[\]\s]{1,60}\]|\[\[?_?TOC_?\]\]?", re.IGNORECASE), ""),
    (re.compile(r"(?<!\w):[a-z][a-z0-9_+-]{1,40}:(?!\w)"), ""),
    (re.compile(r"\{\{.{0,300}?\}\}|\{%.{0,300}?%\}|\{[:#.][^{}]{0,100}\}"), ""),
    (re.compile(r"\[\[(?:[^\[\]|]{1,200}\|)?([^\[\]|]{1,200})\]\]"), r"\1"),
    (re.compile(r"\[([^\[\]]{0,200})\]\[[^\[\]]{0,100}\]"), r"\1"),
    (re.compile(r"~~([^~]{1,200})~~|==([^=]{1,200})=="), r"\1\2"),
)
_FOOTNOTE = re.compile(r"^\[\^[^\[\]\s]{1,60}\]:.*$", re.MULTILINE)
_DROPPED = re.compile(r"^(?:\[\^[^\[\]\s]{1,60}\]:|:::|\[[^\[\]]{1,100}\]:\s|(?:import|export)\s.{0,200}['\"{])")
_BULLET = re.compile(r"^\s*(?:[•●▪◦*·–—+-]|\d{1,3}[.)])\s+")
#: A line longer than this, in characters, is no heading.
LONGEST_HEADING = 80


def read_markdown(source: str) -> tuple[str, list[Block], bool]:
    """The title in the front matter, the blocks, and whether it was nested too deeply to be read to its end."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    front = _FRONT_MATTER.match(source)
    named = _FRONT_TITLE.search(front[1]) if front else None
    source = _FOOTNOTE.sub("", _without_comments(source[front.end() :] if front else source))
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(source)
    _, blocks, cut = read_html(page)
    title = clean(named[1]).strip("'\" ") if named else ""
    blocks = [made for block in blocks for made in _without_dialect(block)]
    return title, blocks if any(block.level for block in blocks) else _with_headings(blocks), cut


def read_plain(source: str) -> list[Block]:
    """Paragraphs are parted by empty lines; a short line by itself that is no sentence is a heading."""
    paragraphs = re.split(r"\n[ \t\f\v]*\n", source.replace("\r\n", "\n").replace("\r", "\n"))
    chunks = [part for part in (paragraph.strip("\n") for paragraph in paragraphs) if part.strip()]
    blocks: list[Block] = []
    for number, chunk in enumerate(chunks):
        lines = chunk.split("\n")
        if len(lines) == 1 and number + 1 < len(chunks) and looks_like_heading(chunk):
            blocks.append(Block("heading", clean(chunk), 2 if blocks else 1))
        else:
            blocks += join_lines(lines)
    return [block for block in blocks if block.text]


def _with_headings(blocks: list[Block]) -> list[Block]:
    """Blocks of a text without any marked heading: short lines by themselves are headings, as in plain text."""
    made: list[Block] = []
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.kind == "paragraph" and following is not None and looks_like_heading(block.text):
            block = Block("heading", block.text, 2 if made else 1)
        made.append(block)
    return made


def looks_like_heading(line: str) -> bool:
    """Whether a line by itself is a heading: short, not a list's, and no sentence."""
    text = clean(line)
    return 0 < len(text) <= LONGEST_HEADING and text[-1] not in ".!?;,…" and not _BULLET.match(line)


def join_lines(lines: list[str]) -> list[Block]:
    """One block of the lines, or one for each that begins with a bullet."""
    parts: list[tuple[bool, list[str]]] = []
    for line in lines:
        bullet = _BULLET.match(line)
        if bullet or not parts:
            parts.append((bullet is not None, []))
        parts[-1][1].append(line[bullet.end() :] if bullet else line)
    return [Block("item" if listed else "paragraph", clean(" ".join(words))) for listed, words in parts]


def _without_comments(source: str) -> str:
    """`source` without HTML comments (a pattern would take quadratic time on many that never end)."""
    first, *rest = source.split("<!--")
    return first + "".join(part.partition("-->")[2] if "-->" in part else f"&lt;!--{part}" for part in rest)


def _without_dialect(block: Block) -> list[Block]:
    if _DROPPED.match(block.text):
        return []
    text = block.text
    for pattern, kept in _DIALECTS:
        text = pattern.sub(kept, text)
    text = clean(text)
    return [Block(block.kind, text, block.level)] if text else []
