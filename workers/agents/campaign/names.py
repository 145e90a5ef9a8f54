"""Decides which phrases are names or subjects, since only those become hashtags.

There is no dictionary of nouns. The document itself shows them: by capital letters within a sentence, by quotation
marks, or by an article before words of the title. Other phrases become no hashtag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from swallowtail.workers.agents.campaign.phrases import find_joined_names, folded
from swallowtail.workers.reading.alphabets import UNSPACED_LANGUAGES
from swallowtail.workers.reading.blocks import Block

_QUOTED = re.compile(r"[\"“„«‹「『]\s?([^\"“”„«»‹›「」『』]{2,60}?)\s?[\"”“»›」』]")
#: Articles and possessives, by language: the words between one and, say, a comma are a noun.
_ARTICLES = {
    "en": "a|an|the|our|your|this",
    "fr": "un|une|le|la|les|des|du|notre|nos|votre|vos|ce|cette",
    "es": "un|una|el|la|los|las|nuestro|nuestra|este|esta|del|al",
    "pt": "um|uma|o|a|os|as|nosso|nossa|este|esta|do|da",
    "it": "un|una|il|lo|la|i|gli|le|nostro|nostra|questo|questa|del|della",
    "nl": "een|de|het|onze|dit|deze",
}
#: Units and the like, which are not names despite a capital letter.
_UNIT_WORDS = """
million millionen millions millones milliarden billion billions euro euros eur usd dollar dollars prozent percent uhr
jahre jahren
"""
_UNITS = frozenset(_UNIT_WORDS.split())
#: Where a noun phrase ends.
_END = r"(?=\s*[.,;:!?)–—]|\s*$|\s+(?:that|which|who|is|are|was|has|of|for|with|est|es|que|qui|é|è|che|die|dat)\b)"
#: Characters before the first word of a sentence.
_FIRST = r"(?<![.!?:;…\"“„«‹(–—•|-] )(?<![\"“„«‹(])(?<!^)"


class DocumentNames:
    """The names and subjects of a document."""

    def __init__(self, blocks: Iterable[Block], title: str, language: str) -> None:
        body = [block.text for block in blocks if block.kind != "heading"]
        self._text = "\n".join(body)
        self._language = language
        self._title = folded(title)
        self._joined = frozenset(find_joined_names(self._text, language, title))
        self._quoted = {" ".join(quotation.casefold().split()) for quotation in _QUOTED.findall(self._text)}

    def has(self, words: list[str]) -> bool:
        """Return whether these consecutive words are a name or subject."""
        if not words:
            return False
        phrase = " ".join(words)
        if self._language in UNSPACED_LANGUAGES:
            return True  # quoted or linked, and so marked as a name
        if not _UNITS.isdisjoint(phrase.casefold().split()):
            return False
        is_quoted = phrase.casefold() in self._quoted and phrase[0] != phrase[0].lower()
        return phrase in self._joined or self._is_written_large(words) or is_quoted or self._is_subject(phrase)

    def _is_written_large(self, words: list[str]) -> bool:
        """Return whether every word mostly has a capital letter within sentences."""
        spelled = r"\s".join(re.escape(word[:1].upper() + word[1:]) for word in words)
        if not all(len(word) > 1 and word[0].upper() != word[0].lower() for word in words):
            return False  # an initial, a figure, or a script without capital letters
        if self._language == "de" and len(words) == 1:
            return False  # every noun has one
        large = len(re.findall(rf"{_FIRST}\b{spelled}\b", self._text, re.MULTILINE))
        small = r"\s".join(re.escape(word[:1].lower() + word[1:]) for word in words)
        return large > len(re.findall(rf"\b{small}\b", self._text)) if small != spelled else large > 0

    def _is_subject(self, phrase: str) -> bool:
        """Return whether the title contains it and an article before it shows that it is a noun."""
        if folded(phrase) not in self._title:
            return False
        if self._language == "de" and not any(word[0] == word[0].lower() for word in phrase.split()):
            return True  # nouns, by their capital letters
        articles = _ARTICLES.get(self._language or "en")
        if articles is None:
            return False
        shown = rf"\b(?:{articles})\s{re.escape(phrase)}{_END}"
        return re.search(shown, self._text, re.IGNORECASE | re.MULTILINE) is not None
