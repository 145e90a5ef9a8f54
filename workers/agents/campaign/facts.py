"""Finds the sentences that say best what a text is about. Off the road of an event: the Researcher uses it inside a
step.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from segtok.segmenter import split_single

from workers.agents.campaign.document import Block
from workers.agents.campaign.readability import reading_grade

MAX_FACTS = 12

#: Lengths in characters of a sentence that can stand alone in a post.
SHORTEST, LONGEST = 20, 260

_NUMBER = re.compile(r"\d")
_MONEY = re.compile(r"[€$£¥]\s?\d|\d\s?(?:%|percent|€)")
#: Words that point back to a sentence that will not be there.
_DEPENDENT = re.compile(
    r"^(?:it|this|that|these|those|they|he|she|his|her|its|their|but|and|or|so|because|however|also|then|there|here"
    r"|such|when it|if it|in addition|for example)\b",
    re.IGNORECASE,
)
#: Sentences that speak to whoever writes the posts.
_INSTRUCTION = re.compile(r"^(?:please|do not|don['’]t|avoid|make sure|remember to|note that)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ScoredFact:
    """A sentence quoted from the source: `position` counts its sentences from 0, a higher `score` says more."""

    text: str
    position: int
    score: float
    grade: float


def find_facts(blocks: list[Block], phrases: list[str]) -> list[ScoredFact]:
    """The sentences that say most, the best first, no two saying nearly the same.

    A source without any sentence that can stand alone gives its first lines as they are.
    """
    sentences = _sentences(blocks)
    scored = [
        ScoredFact(text, position, _score(text, kind, position, len(sentences), phrases), reading_grade(text))
        for position, (text, kind) in enumerate(sentences)
    ]
    usable = [fact for fact in scored if SHORTEST <= len(fact.text) <= LONGEST and not _INSTRUCTION.match(fact.text)]
    ranked = sorted(usable or scored[:3], key=lambda fact: (-fact.score, fact.position))
    chosen: list[ScoredFact] = []
    for fact in ranked:
        if len(chosen) < MAX_FACTS and not any(_alike(fact.text, other.text) for other in chosen):
            chosen.append(fact)
    return chosen


def _sentences(blocks: list[Block]) -> list[tuple[str, str]]:
    lines = [block for block in blocks if block.kind != "heading"] or blocks
    return [
        (" ".join(sentence.split()), block.kind)
        for block in lines
        for sentence in split_single(block.text)
        if sentence.strip()
    ]


def _score(text: str, kind: str, position: int, total: int, phrases: list[str]) -> float:
    """Key phrases, figures, an early place and a handy length count for a sentence, leaning on another against it."""
    folded = text.casefold()
    score = sum(1.0 / (2 + rank) for rank, phrase in enumerate(phrases) if phrase.casefold() in folded)
    score += 0.5 * bool(_NUMBER.search(text)) + 0.3 * bool(_MONEY.search(text)) + 0.2 * (kind == "item")
    score += 0.5 * (1 - position / max(total, 1)) + 0.8 / (1 + position) + 0.4 * (50 <= len(text) <= 170)
    score -= 0.9 * bool(_DEPENDENT.match(text)) + 0.8 * text.endswith(("?", ":")) + 0.3 * (len(text) < 40)
    score -= 0.5 * (" – " in text and kind == "item")  # a row of a table reads less well than a sentence
    score -= 0.5 * (text.count('"') % 2 or text.count("“") != text.count("”"))  # half of a quotation
    return round(score, 4)


def _alike(one: str, other: str) -> bool:
    """Whether two sentences share most of their words."""
    first, second = (set(re.findall(r"\w{3,}", text.casefold())) for text in (one, other))
    union = first | second
    return bool(union) and len(first & second) / len(union) > 0.6
