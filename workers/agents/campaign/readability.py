"""Computes the reading grade of a text."""

from __future__ import annotations

import re

from swallowtail.workers.llm.wording import HASHTAG, URL, without_emoji
from swallowtail.workers.reading.alphabets import count_unspaced

_BULLET = re.compile(r"^\s*(?:[•→\-*–]|\d{1,2}[.)])\s+")


def reading_grade(text: str) -> float:
    """Return the Automated Readability Index of `text`, at least 0; a text in a script without spaces has 0.

    Links, hashtags, emoji and bullets are left out, and every line counts as a sentence. Unlike the better known
    Flesch-Kincaid grade, the index needs no pronunciation dictionary.
    """
    if count_unspaced(text) > 0.3 * len(text):
        return 0.0
    lines = (_sentence(line) for line in text.splitlines())
    prose = " ".join(line for line in lines if line)
    # Imported here: these libraries would take most of a worker's start (`phrases` and `language` too).
    import textstat

    return max(0.0, round(float(textstat.automated_readability_index(prose)), 1)) if prose else 0.0


def _sentence(line: str) -> str:
    line = without_emoji(HASHTAG.sub("", URL.sub("", _BULLET.sub("", line))))
    if not re.search(r"\w", line):
        return ""
    return line if line[-1] in ".!?" else line.rstrip(":;,…") + "."
