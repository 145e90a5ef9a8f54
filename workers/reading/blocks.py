"""Defines the blocks of clean text that a document is read into."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from swallowtail.workers.reading.alphabets import UNSPACED

BlockKind = Literal["heading", "paragraph", "item"]

#: A line break within a text of such a script; it does not stand for a space.
_WRAPPED = re.compile(rf"(?<=[{UNSPACED}])[ \t]*\n[ \t]*(?=[{UNSPACED}])")

#: Format characters that are kept: they join emoji and letters of some scripts.
_KEPT = "\u200c\u200d"


class UnreadableError(Exception):
    """The document is broken, locked or too large; the message says which."""


@dataclass(frozen=True, slots=True)
class Block:
    """One heading, paragraph or list item on one line; `level` is 1–6 for headings, else 0."""

    kind: BlockKind
    text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A document: its format, title and blocks; `cut` is true if it was longer, or nested deeper, than the limits."""

    format: str
    title: str
    blocks: tuple[Block, ...]
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of reading: characters of text, and bytes after unpacking."""

    characters: int = 100_000
    unpacked: int = 67_108_864


def clean(text: str) -> str:
    """Return `text` on one line, without control and formatting characters."""
    text = _WRAPPED.sub("", text)
    plain = (char if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else " " for char in text)
    return " ".join("".join(plain).split())
