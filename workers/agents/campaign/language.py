"""Detects the language of a text by its most frequent words.

The words are the stop word lists of YAKE, which also finds the key phrases. A word in the lists of several languages
counts less for each of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

#: Lists that YAKE names differently from ISO 639-1, or that are not languages.
_ALIASES = {"br": "pt", "cz": "cs", "noLang": ""}
_WORD = re.compile(r"[^\W\d_]+")
#: Scripts that only one language is written in, or mainly one.
_SCRIPTS = {
    "HEBREW": "he", "HANGUL": "ko", "THAI": "th", "GREEK": "el", "GEORGIAN": "ka", "ARMENIAN": "hy", "TAMIL": "ta",
    "TELUGU": "te", "KANNADA": "kn", "MALAYALAM": "ml", "GUJARATI": "gu", "BENGALI": "bn", "GURMUKHI": "pa",
    "SINHALA": "si", "DEVANAGARI": "hi", "LAO": "lo", "KHMER": "km", "MYANMAR": "my", "ETHIOPIC": "am",
}  # fmt: skip
#: Letters that a script needs to decide, and the share that Chinese and Japanese ones need; each of them says more.
FEWEST, MOSTLY_HAN = 3, 0.3
#: Words that are examined, and the weighted share that must belong to the language.
MOST_WORDS = 4000
SHARE = 0.08
#: By which factor it must exceed every other language.
LEAD = 1.15


def find_language(text: str) -> str:
    """Return the ISO 639-1 code of the text's language; empty if it has too few words or the language is unknown."""
    if (by_script := _by_script(text)) is not None:
        return by_script
    words = Counter(_WORD.findall(text.casefold())[:MOST_WORDS])
    total = sum(words.values())
    scores: Counter[str] = Counter()
    for word, times in words.items():
        languages = _languages().get(word, ())
        for language in languages:
            scores[language] += times / len(languages)  # type: ignore[assignment]
    (best, score), (_, second) = [*scores.most_common(2), ("", 0), ("", 0)][:2]
    return best if total and score / total >= SHARE and score >= LEAD * second else _by_letters(text)


def _by_letters(text: str) -> str:
    """Return the language by letters that only one Cyrillic alphabet has; otherwise an empty text."""
    letters = set(text[: 10 * MOST_WORDS].casefold())
    if letters & set("ыэё"):
        return "" if letters & set("іїєґўөүҥһәқғңұ") else "ru"
    return "uk" if letters & set("їєґ") else ""


def _by_script(text: str) -> str | None:
    """Return the language if most letters belong to a script of one language; None for other scripts."""
    scripts = Counter(_script_of(char) for char in text[: 10 * MOST_WORDS] if char.isalpha())
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
    """Return the function words of a language, case-folded; nothing for a language without a list."""
    return _lists().get(language, frozenset())


@cache
def _lists() -> dict[str, frozenset[str]]:
    import yake  # see `readability`

    words_of: dict[str, frozenset[str]] = {}
    for path in (Path(yake.__file__).parent / "core" / "StopwordsList").glob("stopwords_*.txt"):
        name = path.stem.removeprefix("stopwords_")
        language = _ALIASES.get(name, name)
        if language:
            words = path.read_text(encoding="utf-8", errors="ignore").casefold().split()
            words_of[language] = words_of.get(language, frozenset()) | frozenset(words)
    return words_of


@cache
def _languages() -> dict[str, tuple[str, ...]]:
    """Return the languages that have a word among their most frequent ones."""
    languages_of: dict[str, list[str]] = {}
    for language, words in _lists().items():
        for word in words:
            languages_of.setdefault(word, []).append(language)
    return {word: tuple(languages) for word, languages in languages_of.items()}
