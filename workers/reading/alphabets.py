"""What tells about a text by its letters alone: ends of sentences, and scripts that put no spaces between words. Beside
the road: documents are read, and posts written, by it.
"""

from __future__ import annotations

import re

#: What ends a sentence, in the scripts of Europe, East and South Asia, and in Arabic ones.
SENTENCE_ENDS = ".!?…。！？｡؟۔।"
#: Scripts without spaces between words, as a character class: Chinese and Japanese with their punctuation, Thai, Lao,
#: Burmese, Khmer.
UNSPACED = (
    "\u3000-\u303f\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff"
)
#: Languages written in them, by their codes of ISO 639-1.
UNSPACED_LANGUAGES = frozenset(["ja", "zh", "th", "lo", "my", "km"])
_UNSPACED = re.compile(f"[{UNSPACED}]")


def count_unspaced(text: str) -> int:
    """How many characters of such scripts there are."""
    return len(_UNSPACED.findall(text))


def width(text: str) -> int:
    """How much a text says, in characters: one of a script without spaces between words says as much as two."""
    return len(text) + count_unspaced(text)
