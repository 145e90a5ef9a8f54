"""Edits text for posts: cuts it to a length, and removes hashtags, emoji and exclamation marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from swallowtail.workers.reading.alphabets import UNSPACED, count_unspaced

#: A hashtag as platforms define it: a number sign, then letters, digits and _, with at least one letter.
HASHTAG = re.compile(r"(?<![\w&/#＃])[#＃](\w*[^\W\d_]\w*)")
URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%-]+")

_EMOJI = re.compile(
    "[\u203c\u2049\u20e3\u2122\u2139\u2194-\u21aa\u231a-\u23ff\u24c2\u25aa-\u25fe\u2600-\u27bf\u2934\u2935"
    "\u2b05-\u2b55\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f]"
)
#: Remains of markup that was not parsed: reStructuredText, Markdown, HTML, templates.
_LEFTOVER = re.compile(
    r"\.\. (?:[\w:+.-]{1,40}::|_[^:\n]{1,100}:|\|)|(?<![\w:])[a-z][\w-]{1,30}::(?=\s)"
    r"|(?<![\w|])\|[A-Za-z][\w-]{0,40}\|(?![\w|])"
    r"|(?<!\w):[A-Za-z][\w:+.-]{0,40}:`|``|`[^`\n]{1,200}`_|\]\(|!\[|\[\[|\]\[|\[\^|\*\*|(?<!\w)__(?=\w)|~~~"
    r"|</?[A-Za-z][A-Za-z0-9]{0,20}(?:\s[^<>]{0,300})?/?>|<!--|-->|&(?:[a-z]{2,10}|#\d{1,6}|#x[0-9a-f]{1,6});"
    r"|\{\{|\}\}|\{%|%\}|\$\$|%%|'{3}|={3,}|^!!! |^\?\?\?\+? |^\*\[|^#\+[A-Za-z_]+:|^:[A-Z_]+:$|\\[a-z]+\{|^[a-z]+::"
    r"|\[/?(?:b|i|u|s|url|img|quote|code|size|color|list)(?:=[^\]\n]{0,200})?\]"
    r"|^[=~^*+#-]{4,}$|^#{1,6}[ \t]|^\|.{0,300}\|$|^\[[^\[\]\n]{1,100}\]:|^:[\w-]{1,30}:\s|::$",
    re.MULTILINE,
)
#: The words of a text with the space before each; in scripts without spaces, the characters.
_WORDS = re.compile(rf" ?(?:[{UNSPACED}]|[^ {UNSPACED}]+)| ")
#: Characters that must not be separated from the one before.
_JOINERS = ("\u200d", "\ufe0e", "\ufe0f")


def drop_hashtags(text: str) -> str:
    """Return `text` on one line with hashtags as plain words, since hashtags in a post are counted."""
    return " ".join(HASHTAG.sub(r"\1", text).split())


def hashtags(text: str) -> list[str]:
    """Return the hashtags in `text`, each with its number sign, in order; parts of URLs do not count."""
    return ["#" + word for word in HASHTAG.findall(URL.sub(" ", text))]


def find_markup_remains(text: str) -> list[str]:
    """Return remains of markup in `text`, each once, in order; parts of URLs do not count."""
    return list(dict.fromkeys(match[0].strip() for match in _LEFTOVER.finditer(URL.sub(" ", text))))


def remove_exclamation_marks(text: str) -> str:
    """Return `text` with full stops instead of exclamation marks."""
    return re.sub("！+", "。", re.sub(r"!+", ".", re.sub(r"(?<=[?？])[!！]+", "", text)))


def has_emoji(text: str) -> bool:
    """Return whether `text` contains an emoji."""
    return _EMOJI.search(text) is not None


def without_emoji(text: str) -> str:
    """Return `text` without emoji and the joiners between them."""
    return " ".join(re.sub("[\u200d\ufe0e]", "", _EMOJI.sub("", text)).split())


def mentions(text: str, phrase: str) -> bool:
    """Return whether `text` contains `phrase` as whole words, in any case and with any spacing.

    At an end in a script without spaces between words, it may be part of a longer run of letters.
    """
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    if not words:
        return False
    letters = phrase.strip()
    before = "" if count_unspaced(letters[0]) else rf"(?<![^\W{UNSPACED}])"
    after = "" if count_unspaced(letters[-1]) else rf"(?![^\W{UNSPACED}])"
    return re.search(f"{before}{words}{after}", text, re.IGNORECASE) is not None


def cut(text: str, limit: int, measure: Callable[[str], int]) -> str:
    """Return `text`, cut after a word with an ellipsis if it measures more than `limit`.

    A first word that is too long is cut between characters. Empty if not even one character fits.
    """
    if measure(text) <= limit:
        return text
    words = _WORDS.findall(text)
    count = _longest(len(words) - 1, lambda number: measure("".join(words[:number]) + "…") <= limit)
    if count:
        return "".join(words[:count]).rstrip(",;:–—- 、，；：「『（【《“") + "…"
    size = _longest(len(words[0]), lambda number: measure(words[0][:number] + "…") <= limit)
    while size and _splits_character(words[0], size):
        size -= 1
    return words[0][:size] + "…" if size else ""


def _longest(most: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` that fits, 0 if none; larger numbers must not fit again."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _splits_character(text: str, index: int) -> bool:
    """Return whether a cut before `index` would split one visible character."""
    if index >= len(text):
        return False
    after, before = text[index], text[index - 1]
    modifier = after in _JOINERS or unicodedata.combining(after) > 0 or "\U0001f3fb" <= after <= "\U0001f3ff"
    flags = "\U0001f1e6" <= before <= "\U0001f1ff" and "\U0001f1e6" <= after <= "\U0001f1ff"
    return modifier or before == "\u200d" or flags
