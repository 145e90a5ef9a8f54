"""Finds what a text is about: key phrases, and hashtags made of them. Off the road of an event: the Researcher uses it
inside a step.
"""

from __future__ import annotations

import re
from collections import Counter

from yake import KeywordExtractor

from workers.agents.campaign.document import Block

MAX_PHRASES = 12
MAX_TAGS = 10
LONGEST_PHRASE, LONGEST_TAG = 60, 30

#: In a text longer than this, in words, a phrase must come back to count as a key phrase.
LONG_TEXT = 200

_WORD = re.compile(r"\w+")
#: A name of two to four words, each with a capital letter or a figure in front.
_NAME = re.compile(r"(?<![.!?:] )(?<!^)\b[^\W\d_a-z]\w+(?: (?:[^\W\d_a-z]\w*|\d[\w.]*)){1,3}", re.MULTILINE)

_EMPTY_WORDS = """
also back best better brand cause change come company customer day different end even every find get give good great
group half help home idea keep kind know last later left less life line look lot made make making many mean month more
most move need new next number office one open order part people person place price put question real reason right room
same second side start step take team thing think third time today turn two user want way week work world year
metre meter centimetre centimeter kilometre kilometer inch watt hour minute percent euro dollar
"""
_DATE_WORDS = """
january february march april may june july august september october november december
monday tuesday wednesday thursday friday saturday sunday
"""
_LINKING_WORDS = """
a an and are as at be but by can did do does for from has have he her his if in is it its not of on or our she so that
the their them they this to up was we were what when where which who will with you your
"""
#: Words that say nothing by themselves, and units.
_EMPTY = frozenset(_EMPTY_WORDS.split())
#: Words that make a date of a name.
_DATE = frozenset(_DATE_WORDS.split())
#: Words that a key phrase may not hold: it would be a piece of a sentence.
_LINKING = frozenset(_LINKING_WORDS.split())


def find_phrases(blocks: list[Block]) -> list[str]:
    """The key phrases of one to four words, the most telling first, in the source's own spelling."""
    text = "\n".join(block.text if block.text[-1] in ".!?:" else f"{block.text}." for block in blocks)
    folded = _folded(text)
    enough = 2 if folded.count(" ") > LONG_TEXT else 1
    chosen: list[str] = []
    for phrase in [*_names(text), *sorted(_keywords(text), key=lambda found: " " not in found)]:
        words = _words(phrase)
        often = folded.count(_folded(phrase))
        needed = enough + 1 if len(words) == 1 and enough > 1 else enough
        if often >= needed and _says_something(phrase, words) and not any(_overlap(words, other) for other in chosen):
            chosen.append(phrase)
    return chosen[:MAX_PHRASES]


def make_hashtags(phrases: list[str]) -> list[str]:
    """Hashtags in CamelCase (screen readers then read the words apart), the most telling first."""
    tags: dict[str, str] = {}
    for phrase in phrases:
        words = re.findall(r"[^\W_]+", re.sub("['’]", "", phrase))
        tag = "".join(word[:1].upper() + word[1:] for word in words)
        if tag and not tag[0].isdigit() and len(tag) <= LONGEST_TAG and re.fullmatch(r"\w*[^\W\d_]\w*", tag):
            tags.setdefault(tag.casefold(), f"#{tag}")
    return list(tags.values())[:MAX_TAGS]


def _names(text: str) -> list[str]:
    """Names that come back, the most frequent first."""
    counts = Counter(match[0] for match in _NAME.finditer(text))
    return [name for name, count in counts.most_common() if count > 1]


def _keywords(text: str) -> list[str]:
    extractor = KeywordExtractor(lan="en", n=3, dedupLim=0.9, top=6 * MAX_PHRASES)
    return [" ".join(phrase.split()) for phrase, _score in extractor.extract_keywords(text)]


def _folded(text: str) -> str:
    """The words of a text in lower case, with a space around each."""
    return f" {' '.join(re.findall(_WORD, text.casefold()))} "


def _words(phrase: str) -> list[str]:
    """The words of a phrase, folded, without a plural's s."""
    return [word.removesuffix("s") for word in re.findall(_WORD, phrase.casefold())]


def _says_something(phrase: str, words: list[str]) -> bool:
    if not words or len(phrase) > LONGEST_PHRASE or sum(char.isalpha() for char in phrase) < 3:
        return False
    if _DATE & {*words, *phrase.casefold().split()}:
        return False
    return not _LINKING.intersection(phrase.casefold().split()) if len(words) > 1 else words[0] not in _EMPTY


def _overlap(words: list[str], other: str) -> bool:
    """Whether one phrase is part of the other."""
    known = _words(other)
    return set(words) <= set(known) or set(known) <= set(words)
