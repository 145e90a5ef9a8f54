"""How hard a text is to read. Off the road of an event: the Researcher and the Editor use it inside steps."""

from __future__ import annotations

import re

from swallowtail.workers.llm.wording import HASHTAG, URL, without_emoji
from swallowtail.workers.reading.alphabets import count_unspaced

_BULLET = re.compile(r"^\s*(?:[•→\-*–]|\d{1,2}[.)])\s+")


def reading_grade(text: str) -> float:
    """The Automated Readability Index of `text` to one decimal: the US school grade that a reader needs, at least 0.

    Links, hashtags, emoji and bullets are left out, and every line counts as a sentence of its own. This index needs
    letters, words and sentences only; the better known Flesch-Kincaid grade would need a pronunciation dictionary
    that has to be downloaded. A text in a script without spaces between words has none: 0.
    """
    if count_unspaced(text) > 0.3 * len(text):
        return 0.0
    lines = (_sentence(line) for line in text.splitlines())
    prose = " ".join(line for line in lines if line)
    # Here and not above: most of a worker's start would be this, and its like in `phrases` and `language`.
    import textstat

    return max(0.0, round(float(textstat.automated_readability_index(prose)), 1)) if prose else 0.0


def _sentence(line: str) -> str:
    line = without_emoji(HASHTAG.sub("", URL.sub("", _BULLET.sub("", line))))
    if not re.search(r"\w", line):
        return ""
    return line if line[-1] in ".!?" else line.rstrip(":;,…") + "."
