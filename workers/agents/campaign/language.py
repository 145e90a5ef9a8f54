"""Finds the language of a text by its most frequent words. Off the road of an event: the Researcher uses it inside a
step.

The words are the stop lists of YAKE, which finds the key phrases by the same lists. A word that is in the lists of
several languages counts for each of them that much less.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

#: Lists that YAKE names otherwise than ISO 639-1 does, or that are none.
_ALIASES = {"br": "pt", "cz": "cs", "noLang": ""}
_WORD = re.compile(r"[^\W\d_]+")
#: Words looked at, and the share of them that must be of the language, by weight; below it nothing is said.
LOOKED_AT = 4000
SHARE = 0.08
#: How much more of it than of any other language there must be.
LEAD = 1.15


def find_language(text: str) -> str:
    """The ISO 639-1 code of the text's language, `""` when it is not clear: too few words, or a language not known."""
    words = Counter(_WORD.findall(text.casefold())[:LOOKED_AT])
    total = sum(words.values())
    scores: Counter[str] = Counter()
    for word, times in words.items():
        languages = _languages().get(word, ())
        for language in languages:
            scores[language] += times / len(languages)  # type: ignore[assignment]
    (best, score), (_, second) = [*scores.most_common(2), ("", 0), ("", 0)][:2]
    return best if total and score / total >= SHARE and score >= LEAD * second else ""


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
