"""Finds the sentences of a text that say most about its subject."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from swallowtail.workers.agents.campaign.readability import reading_grade
from swallowtail.workers.llm.provider import Fact
from swallowtail.workers.llm.wording import find_markup_remains
from swallowtail.workers.reading.alphabets import UNSPACED, width
from swallowtail.workers.reading.blocks import Block

MAX_FACTS = 12

#: Widths of a sentence that can stand alone in a post; see `width`.
SHORTEST, LONGEST = 20, 260

_NUMBER = re.compile(r"\d")
#: Ends of sentences that need no following space, or that the segmenter does not know.
_END = re.compile(rf"([。！？｡]+)|[؟۔।։።]\s+|(?<![.!?…])[.!?…]+(?=[{UNSPACED}])")
_OPEN, _SHUT = "「『（【《〈“", "」』）】》〉”"
_WORDS = re.compile(rf"[^\W{UNSPACED}]{{3,}}|(?=([{UNSPACED}]{{2}}))")
#: Gaps where a word is missing: a link without text, a placeholder.
_HOLE = re.compile(r"\s[.,](?=\s|$)|\(\s*\)|(?:^|\s)\|\s")
_MONEY = re.compile(r"[€$£¥]\s?\d|\d\s?(?:%|percent|€)")
#: Beginnings that refer to an earlier sentence, by language.
_DEPENDENT = {
    "en": "it|this|that|these|those|they|he|she|his|her|its|their|but|and|or|so|because|however|also|then|there|here"
    "|such|which|who|when it|if it|in addition|for example",
    "de": "er|sie|es|dies(?:e[rsnm]?)?|jene[rsnm]?|aber|und|oder|denn|weil|deshalb|daher|dann|dort|hier|auch|außerdem"
    "|zudem|zum beispiel|ihr|ihre|sein|seine",
    "fr": "il|elle|ils|elles|ce|cela|ceci|cette|ces|mais|et|ou|car|donc|ainsi|alors|ici|là|aussi|son|sa|ses|leur|leurs"
    "|par exemple|de plus|c['’]est",
    "it": "esso|essa|essi|esse|egli|lui|lei|loro|questo|questa|questi|queste|quello|quella|ma|e|o|perché|quindi|così"
    "|qui|anche|inoltre|suo|sua|suoi|sue|ad esempio",
    "pt": "ele|ela|eles|elas|isto|isso|este|esta|estes|estas|esse|essa|mas|e|ou|porque|então|assim|aqui|ali|também"
    "|seu|sua|seus|suas|além disso|por exemplo",
    "nl": "hij|zij|ze|het|dit|dat|deze|die|maar|en|of|want|omdat|daarom|dan|hier|daar|ook|zijn|haar|hun|bovendien"
    "|bijvoorbeeld",
    "pl": "on|ona|ono|oni|one|to|ten|ta|te|ale|i|lub|bo|ponieważ|więc|tutaj|tam|także|jego|jej|ich|ponadto|na przykład",
    "ru": "он|она|оно|они|это|этот|эта|эти|тот|та|те|но|и|или|потому|поэтому|затем|здесь|там|также|его|её|их|кроме того"
    "|например",
    "es": "él|ella|ellos|ellas|esto|este|esta|estos|estas|ese|esa|eso|pero|y|o|porque|entonces|así|aquí|allí|también"
    "|su|sus|además|por ejemplo",
}
#: Beginnings that address the writer of the posts, by language.
_INSTRUCTION = {
    "en": "please|do not|don['’]t|avoid|make sure|remember to|note that|see (?:the|also|our)",
    "de": "bitte|achtet darauf|achten sie|vermeide[nt]?|nicht",
    "fr": "merci de|veuillez|ne pas|évite[rz]|n['’]oubliez pas|attention",
    "it": "per favore|si prega|non (?:dire|usare|menzionare)|evita(?:re|te)?|attenzione|ricorda(?:te)?",
    "pt": "por favor|não (?:dizer|usar|mencionar)|evit(?:ar|e|em)|lembre(?:m)?(?:-se)?",
    "nl": "gelieve|let op|vermijd|niet",
    "pl": "proszę|nie (?:pisać|używać|wspominać)|unikać|uwaga|pamiętaj(?:cie)?",
    "ru": "пожалуйста|не (?:говорить|использовать|упоминать)|избегайте|внимание|помните",
    "es": "por favor|no (?:decir|usar|mencionar)|evit(?:ar|e|en)|recuerd[ae]n?|tenga en cuenta",
}

#: Text that no post may quote: addresses, handles and numbers that platforms link, command options.
_ADDRESS = re.compile(r"\w://|\bwww\.|\w@\w|(?<!\w)@\w|(?<![\w&])#\w|(?<!\S)--?[a-z][\w-]+")
#: Ends of a sentence that was cut: an abbreviation, an initial, dots.
_CUT_OFF = re.compile(
    r"(?:(?<!\w)(?:pp?|vols?|nos?|eds?|fig|al|cf|ca|e\.g|i\.e|vs|approx|nr|bzw|z\. ?b|usw|p\. ?ej|[A-Z])\.|\.\.\.|…)$",
    re.IGNORECASE,
)
#: Least share of letters and spaces in a sentence: a row of figures is none.
LEAST_LETTERS = 0.7
#: Languages that write ordinals with a full stop.
_ORDINAL_STOP = frozenset(["da", "de", "cs", "et", "fi", "hr", "hu", "no", "pl", "sk", "sl", "sv", "tr"])
_ORDINAL = re.compile(r"(?:^|\s)\d{1,2}\.$")


def find_facts(blocks: list[Block], phrases: list[str], language: str = "en") -> list[Fact]:
    """Return the sentences that say most, the best first; the first lines if no sentence can stand alone."""
    sentences = _sentences(blocks, language)
    scored = [
        Fact(text, position, _score(text, kind, position, len(sentences), phrases), reading_grade(text))
        for position, (text, kind) in enumerate(sentences)
    ]
    scored = [_lower_if_dependent(fact, language) for fact in scored]
    instruction = _beginning(_INSTRUCTION, language)
    proper = [fact for fact in scored if not find_markup_remains(fact.text) and not _ADDRESS.search(fact.text)]
    whole = [fact for fact in proper if SHORTEST <= width(fact.text) <= LONGEST and _is_complete(fact.text)]
    usable = [fact for fact in whole if not instruction.match(fact.text)]
    ranked = sorted(usable or proper[:3], key=lambda fact: (-fact.score, fact.position))
    selection: list[Fact] = []
    for fact in ranked:
        if len(selection) < MAX_FACTS and not any(_are_similar(fact.text, other.text) for other in selection):
            selection.append(fact)
    return selection


def _is_complete(text: str) -> bool:
    letters = sum(char.isalpha() or char.isspace() for char in text)
    if text.endswith((":", "：")) or _CUT_OFF.search(text) or _HOLE.search(text):
        return False
    return letters >= LEAST_LETTERS * len(text)


def _sentences(blocks: list[Block], language: str) -> list[tuple[str, str]]:
    lines = [block for block in blocks if block.kind != "heading"] or blocks
    return [
        (" ".join(sentence.split()), block.kind)
        for block in lines
        for sentence in _split(block.text, language)
        if sentence.strip()
    ]


def _split(text: str, language: str) -> list[str]:
    """Return the sentences of a text. A full stop of an ordinal (*am 3. Mai*) ends no sentence."""
    from segtok.segmenter import split_single  # see `readability`

    sentences: list[str] = []
    for sentence in (part for piece in _split_unspaced(text) for part in split_single(piece)):
        if sentences and language in _ORDINAL_STOP and _ORDINAL.search(sentences[-1]):
            sentences[-1] += f" {sentence.strip()}"
        else:
            sentences.append(sentence.strip())
    return sentences


def _split_unspaced(text: str) -> list[str]:
    """Split the text where a sentence ends without a space, or with a mark of another script, outside of brackets."""
    pieces, start = [], 0
    for match in _END.finditer(text):
        end = match.end()
        if match[1]:
            while text[end : end + 1] and text[end] in _SHUT:
                end += 1
            goes_on = end > match.end() and "\u3041" <= text[end : end + 1] <= "\u309f"
            before = text[start:end]
            if goes_on or sum(map(before.count, _OPEN)) > sum(map(before.count, _SHUT)):
                continue
        pieces.append(text[start:end].strip())
        start = end
    return [piece for piece in (*pieces, text[start:].strip()) if piece]


def _score(text: str, kind: str, position: int, total: int, phrases: list[str]) -> float:
    """Return a sentence's score: key phrases, figures, an early position and a suitable length raise it."""
    folded = text.casefold()
    score = sum(1.0 / (2 + rank) for rank, phrase in enumerate(phrases) if phrase.casefold() in folded)
    score += 0.5 * bool(_NUMBER.search(text)) + 0.3 * bool(_MONEY.search(text)) + 0.2 * (kind == "item")
    score += 0.5 * (1 - position / max(total, 1)) + 0.8 / (1 + position) + 0.4 * (50 <= width(text) <= 170)
    score -= 0.8 * text.endswith(("?", ":", "？", "؟")) + 0.3 * (width(text) < 40)
    score -= 0.5 * (" – " in text and kind == "item")  # a table row reads less well than a sentence
    score -= 0.5 * (text.count('"') % 2 or text.count("“") != text.count("”"))  # half of a quotation
    return round(score, 4)


def _lower_if_dependent(fact: Fact, language: str) -> Fact:
    """Return `fact` with a lower score if it refers to a sentence before it."""
    leans = _beginning(_DEPENDENT, language).match(fact.text) is not None
    return replace(fact, score=round(fact.score - 0.9 * leans, 4))


def _beginning(words: Mapping[str, str], language: str) -> re.Pattern[str]:
    """Return the pattern of those beginnings in a language; of English for an unknown one."""
    return re.compile(rf"(?:{words.get(language, words['en'])})(?!\w)", re.IGNORECASE)


def _are_similar(one: str, other: str) -> bool:
    """Return whether two sentences share most of their words."""
    first, second = ({word[1] or word[0] for word in _WORDS.finditer(text.casefold())} for text in (one, other))
    union = first | second
    return bool(union) and len(first & second) / len(union) > 0.6
