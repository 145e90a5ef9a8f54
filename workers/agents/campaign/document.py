"""Reads a brief: Markdown or plain text into blocks of clean text. Off the road of an event: the Researcher uses it
inside a step.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

BlockKind = Literal["heading", "paragraph", "item"]

#: Headings of sections that speak to the team, not to the public.
INTERNAL = re.compile(
    r"\b(internal|confidential|not for publication|do not publish|do not (say|use|mention)|don['’]?ts?|tone|voice|style"
    r"|approvals?|embargo|budget|deliverables|notes? (to|for) )\b",
    re.IGNORECASE,
)
#: What a brief is called, around the name of the thing it is about.
_ABOUT = r"(?:(?:product|launch|creative|campaign|marketing|press|content|social|media)\s+)*(?:brief|release)"
_TITLE_BEFORE = re.compile(rf"^{_ABOUT}\s*(?:[:–—|-]|for\s+(?:the\s+)?)\s*", re.IGNORECASE)
_TITLE_AFTER = re.compile(rf"\s*[:–—|,(-]\s*{_ABOUT}\)?\s*$", re.IGNORECASE)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)

#: Format characters kept: they join emoji and letters of some scripts.
_KEPT = "\u200c\u200d"
MAX_TITLE = 120


@dataclass(frozen=True, slots=True)
class Block:
    """One heading, paragraph or list item on one line; `level` is 1–6 for headings, else 0."""

    kind: BlockKind
    text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A brief as read: its title, what may be quoted, and the headings of the sections left out as internal."""

    title: str
    blocks: tuple[Block, ...]
    left_out: tuple[str, ...] = ()


def read_document(source: str) -> Document:
    """Read Markdown or plain text. A source without any readable block becomes one paragraph of all its text."""
    source = _without_comments(_FRONT_MATTER.sub("", source.replace("\r\n", "\n").replace("\r", "\n")))
    blocks = [block for block in _blocks(source) if block.text]
    if not blocks:
        text = clean(source)
        blocks = [Block("paragraph", text)] if text else []
    public, left_out = _without_internal(blocks)
    return Document(_title(public or blocks), tuple(public or blocks), tuple(left_out if public else ()))


def clean(text: str) -> str:
    """`text` on one line, without control and formatting characters."""
    kept = (char if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else " " for char in text)
    return " ".join("".join(kept).split())


def _without_comments(source: str) -> str:
    """`source` without HTML comments (a pattern would take quadratic time on many that never end)."""
    first, *rest = source.split("<!--")
    return first + "".join(part.partition("-->")[2] if "-->" in part else f"<!--{part}" for part in rest)


def _blocks(source: str) -> Iterator[Block]:
    """Every line of readable text: headings, paragraphs, list items and table rows, without the rows of titles."""
    tokens = MarkdownIt("commonmark").enable("table").disable(["code", "html_block"]).parse(source)
    lists, level, in_head = 0, 0, False
    row: list[str] | None = None
    for token in tokens:
        if token.tag == "li":
            lists += token.nesting
        elif token.type in ("heading_open", "heading_close"):
            level = int(token.tag[1]) if token.nesting == 1 else 0
        elif token.type == "tr_open":
            row = []
        elif token.type == "tr_close":
            if row and not in_head:
                yield Block("item", " – ".join(filter(None, row)))
            row = None
        elif token.tag == "thead":
            in_head = token.nesting == 1
        elif token.type == "inline" and row is not None:
            row.append(clean(_text(token)))
        elif token.type == "inline":
            yield Block("heading" if level else "item" if lists else "paragraph", clean(_text(token)), level)


def _text(inline: Token) -> str:
    """The words of an inline token: marks, images and raw HTML are left out."""
    words = {"text": "", "code_inline": "", "softbreak": " ", "hardbreak": " "}
    children = [child for child in inline.children or () if child.type in words]
    return "".join(child.content or words[child.type] for child in children)


def _without_internal(blocks: list[Block]) -> tuple[list[Block], list[str]]:
    """The blocks that may be quoted, and the headings of the sections that may not."""
    public: list[Block] = []
    left_out: list[str] = []
    hidden = 0  # the level of the heading that began the internal section, 0 outside one
    for block in blocks:
        if block.kind == "heading" and (not hidden or block.level <= hidden):
            hidden = block.level if block.level > 1 and INTERNAL.search(block.text) else 0
            if hidden:
                left_out.append(block.text)
        if not hidden:
            public.append(block)
    return public, left_out


def _title(blocks: list[Block]) -> str:
    """The first heading of the highest level, else the start of the first block; without the word *brief*."""
    headings = sorted((block.level, index) for index, block in enumerate(blocks) if block.kind == "heading")
    if not blocks:
        return ""
    text = blocks[headings[0][1] if headings else 0].text
    shorter = _TITLE_AFTER.sub("", _TITLE_BEFORE.sub("", text)).strip() or text
    if headings or len(shorter) <= MAX_TITLE:
        return shorter[:MAX_TITLE].strip()
    return ""
