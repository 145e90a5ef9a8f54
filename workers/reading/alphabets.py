"""Lists characters that end a sentence in many scripts, and scripts that put no spaces between words."""

from __future__ import annotations

import re

#: Characters that end a sentence in European, Asian and Arabic scripts.
SENTENCE_ENDS = ".!?…。！？｡؟۔।"
#: Scripts without spaces between words, as a character class: Chinese and Japanese with their punctuation, Thai, Lao,
#: Burmese, Khmer.
UNSPACED = (
    "\u3000-\u303f\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
    "\u0e00-\u0e7f\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff"
)
#: Languages written in these scripts, by ISO 639-1 code.
UNSPACED_LANGUAGES = frozenset(["ja", "zh", "th", "lo", "my", "km"])
_UNSPACED = re.compile(f"[{UNSPACED}]")


def count_unspaced(text: str) -> int:
    """Return the number of characters in scripts without spaces."""
    return len(_UNSPACED.findall(text))


def width(text: str) -> int:
    """Return the width of a text: a character of a script without spaces between words counts as two."""
    return len(text) + count_unspaced(text)
