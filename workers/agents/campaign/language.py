"""Finds the language of a text by its most frequent words. Off the road of an event: the Researcher uses it inside a
step.

The words are the stop lists of YAKE, which finds the key phrases by the same lists. A word that is in the lists of
several languages counts for each of them that much less.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

#: Lists that YAKE names otherwise than ISO 639-1 does, or that are none.
_ALIASES = {"br": "pt", "cz": "cs", "noLang": ""}
_WORD = re.compile(r"[^\W\d_]+")
#: Scripts that one language is written in, or one far more than any other.
_SCRIPTS = {
    "HEBREW": "he", "HANGUL": "ko", "THAI": "th", "GREEK": "el", "GEORGIAN": "ka", "ARMENIAN": "hy", "TAMIL": "ta",
    "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu", "BENGALI": "bn", "GURMUKHI": "pa",
    "SINHALA": "si", "DEVANAGARI": "hi", "LAO": "lo", "KHMER": "km", "MYANMAR": "my", "ETHIOPIC": "am",
}  # fmt: skip
#: Letters from which on a script says something, and the share of Chinese and Japanese ones, each of which says more.
FEWEST, MOSTLY_HAN = 3, 0.3
#: Words looked at, and the share of them that must be of the language, by weight; below it nothing is said.
LOOKED_AT = 4000
SHARE = 0.08
#: How much more of it than of any other language there must be.
LEAD = 1.15


def find_language(text: str) -> str:
    """The ISO 639-1 code of the text's language, `""` when it is not clear: too few words, or a language not known."""
    if (found := _by_script(text)) is not None:
        return found
    words = Counter(_WORD.findall(text.casefold())[:LOOKED_AT])
    total = sum(words.values())
    scores: Counter[str] = Counter()
    for word, times in words.items():
        languages = _languages().get(word, ())
        for language in languages:
            scores[language] += times / len(languages)  # type: ignore[assignment]
    (best, score), (_, second) = [*scores.most_common(2), ("", 0), ("", 0)][:2]
    return best if total and score / total >= SHARE and score >= LEAD * second else _by_letters(text)


def _by_letters(text: str) -> str:
    """The language of a text with letters that only one of those written in Cyrillic has; else nothing."""
    found = set(text[: 10 * LOOKED_AT].casefold())
    if found & set("ыэё"):
        return "" if found & set("іїєґўөүҥһәқғңұ") else "ru"
    return "uk" if found & set("їєґ") else ""


def _by_script(text: str) -> str | None:
    """The language of a text in letters that one language has, for the most part; None for letters that many have."""
    scripts = Counter(_script_of(char) for char in text[: 10 * LOOKED_AT] if char.isalpha())
    total = sum(scripts.values())
    kana, han = scripts["HIRAGANA"] + scripts["KATAKANA"], scripts["CJK"]
    if total and total > FEWEST and kana + han >= MOSTLY_HAN * total:
        return "ja" if kana >= 0.05 * (kana + han) else "zh"
    script, count = scripts.most_common(1)[0] if scripts else ("", 0)
    return _SCRIPTS[script] if script in _SCRIPTS and total > FEWEST and count >= 0.5 * total else None


@cache
def _script_of(char: str) -> str:
    return unicodedata.name(char, "").split(" ")[0].split("-")[0]


@cache
def function_words(language: str) -> frozenset[str]:
    """The words of a language that say nothing by themselves, folded; none for a language without a list."""
    return _lists().get(language, frozenset())


@cache
def _lists() -> dict[str, frozenset[str]]:
    import yake  # see `readability`

    found: dict[str, frozenset[str]] = {}
    for path in (Path(yake.__file__).parent / "core" / "StopwordsList").glob("stopwords_*.txt"):
        name = path.stem.removeprefix("stopwords_")
        language = _ALIASES.get(name, name)
        if language:
            words = path.read_text(encoding="utf-8", errors="ignore").casefold().split()
            found[language] = found.get(language, frozenset()) | frozenset(words)
    return found


@cache
def _languages() -> dict[str, tuple[str, ...]]:
    """Which languages have a word among their most frequent ones."""
    found: dict[str, list[str]] = {}
    for language, words in _lists().items():
        for word in words:
            found.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in found.items()}
