"""What a document is read into: blocks of clean text. Off the road of an event: the Researcher reads inside a step."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from swallowtail.workers.reading.alphabets import UNSPACED

BlockKind = Literal["heading", "paragraph", "item"]

#: The end of a line inside of a text in such a script, which stands for no space.
_WRAPPED = re.compile(rf"(?<=[{UNSPACED}])[ \t]*\n[ \t]*(?=[{UNSPACED}])")

#: Format characters kept: they join emoji and letters of some scripts.
_KEPT = "\u200c\u200d"


class UnreadableError(Exception):
    """The document cannot be read: it is broken, locked or too large. The message says which."""


@dataclass(frozen=True, slots=True)
class Block:
    """One heading, paragraph or list item on one line; `level` is 1–6 for headings, else 0."""

    kind: BlockKind
    text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A document as read: the format it was found to be in, the title in its metadata, its blocks in order.

    `cut` tells that it was longer, or nested deeper, than is read.
    """

    format: str
    title: str
    blocks: tuple[Block, ...]
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may be read: characters of text, and bytes that a packed document may unpack to."""

    characters: int = 100_000
    unpacked: int = 67_108_864


def clean(text: str) -> str:
    """`text` on one line, without control and formatting characters."""
    text = _WRAPPED.sub("", text)
    kept = (char if char in _KEPT or unicodedata.category(char) not in ("Cc", "Cf", "Cs") else " " for char in text)
    return " ".join("".join(kept).split())
