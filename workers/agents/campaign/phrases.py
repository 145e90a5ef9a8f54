"""Extracts key phrases from a text and makes hashtags of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from swallowtail.workers.agents.campaign.language import function_words
from swallowtail.workers.reading.alphabets import UNSPACED_LANGUAGES
from swallowtail.workers.reading.blocks import Block

MAX_PHRASES = 12
MAX_TAGS = 10
LONGEST_PHRASE, LONGEST_TAG = 60, 30

#: In a text with more words than this, a phrase must repeat to be a key phrase.
LONG_TEXT = 200

_WORD = re.compile(r"\w+")
#: A name of two to four words, each beginning with a capital letter or a figure.
_NAME = re.compile(r"(?<![.!?:] )(?<!^)\b[^\W\d_a-z]\w+(?: (?:[^\W\d_a-z]\w*|\d[\w.]*)){1,3}", re.MULTILINE)

_EMPTY_WORDS = """
also back best better brand cause change come company customer day different end even every find get give good great
group half help home idea keep kind know last later left less life line look lot made make making many mean month more
most move need new next number office one open order part people person place price put question real reason right room
same second side start step take team thing think third time today turn two user want way week work world year
metre meter centimetre centimeter kilometre kilometer inch watt hour minute percent euro dollar
"""
_DATE_WORDS = {
    "en": "january february march april may june july august september october november december"
    " monday tuesday wednesday thursday friday saturday sunday",
    "de": "januar februar märz april mai juni juli august september oktober november dezember"
    " montag dienstag mittwoch donnerstag freitag samstag sonntag",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre"
    " lundi mardi mercredi jeudi vendredi samedi dimanche",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre"
    " lunes martes miércoles jueves viernes sábado domingo",
}
_LINKING_WORDS = """
a an and are as at be but by can did do does for from has have he her his if in is it its not of on or our she so that
the their them they this to up was we were what when where which who will with you your
"""
#: Words without a meaning of their own, and units.
_EMPTY = frozenset(_EMPTY_WORDS.split())
#: Words that make a name a date, by language.
_DATE = {language: frozenset(words.split()) for language, words in _DATE_WORDS.items()}
#: Words that make a phrase a fragment of a sentence.
_LINKING = frozenset(_LINKING_WORDS.split())
#: Prefixes of French, Italian and Catalan words without a space: no hashtag begins with one.
_ELIDED = re.compile(r"\b(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|un|dell?|nell|sull|all|dall)['’](?=\w)", re.IGNORECASE)
#: Lists that YAKE names differently.
_YAKE_NAMES = {"cs": "cz"}

#: Marks of a name in such scripts: quoted, in Latin letters with a capital one, or in katakana.
_QUOTED = re.compile(r"[「『《【“]([^「」『』《》【】“”。、，！？\s]{2,20})[」』》】”]")
_LATIN = re.compile(r"[A-Z][A-Za-z0-9&+.-]+(?: (?:[A-Z0-9][A-Za-z0-9&+.-]*))*")
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc]{3,}(?:・[\u30a1-\u30fa\u30fc]{2,})*")

#: Small words within names, by language; some French and Italian ones end with an apostrophe.
_JOINING = {
    "en": "of the|of|and the|and|for the|for|at the|on the|&",
    "de": "von der|an der|in der|für die|der|des|und|von|vom|am|im|zum|zur|für",
    "fr": "de la|des|du|de|et|à la|aux|au|en|sur",
    "es": "de la|de los|de las|del|de|y|la|el",
    "pt": "do|da|dos|das|de|e",
    "it": "della|delle|dei|degli|del|di|e|al|alla",
    "nl": "van de|van het|van|aan de|op de|en|de|het",
}
_LARGE = r"[A-ZÀ-ÖØ-Þ]\w+"


def find_joined_names(text: str, language: str, title: str = "") -> list[str]:
    """Return repeated names whose words are joined by small ones (*Bank of Norway*), the most frequent first.

    In German, where every noun has a capital letter, the title must contain them too.
    """
    joining = _JOINING.get(language or "en")
    if joining is None:
        return []
    between = rf"(?: | (?:{joining}) | (?:de l|dell|d|l)['’])"
    pattern = re.compile(rf"(?<![.!?:] )(?<!^)\b{_LARGE}(?:{between}{_LARGE}){{1,3}}", re.MULTILINE)
    counts = Counter(name for name in pattern.findall(text) if re.search(rf" (?:{joining}) |['’]", name))
    often = [name for name, count in counts.most_common() if count > 1]
    return [name for name in often if language != "de" or name.casefold() in title.casefold()]


def find_marked_names(text: str, title: str = "") -> list[str]:
    """Return the names in a text without spaces, the most frequent first: repeated, quoted, or in the title."""
    quoted = list(_QUOTED.findall(text))
    written = [match[0].strip(".-") for pattern in (_LATIN, _KATAKANA) for match in pattern.finditer(text)]
    counts = Counter(quoted + written)
    return [name for name, count in counts.most_common() if count > 1 or name in quoted or (title and name in title)]


def find_phrases(
    blocks: list[Block], language: str = "en", accept: Callable[[list[str]], bool] | None = None
) -> list[str]:
    """Return key phrases of one to four words, the most relevant first, as the source spells them.

    `accept` returns for the words of a phrase, without articles at its ends, whether it is relevant.
    """
    text = "\n".join(block.text if block.text[-1] in ".!?:" else f"{block.text}." for block in blocks)
    title = blocks[0].text if blocks and blocks[0].level else ""
    if language in UNSPACED_LANGUAGES:
        names = find_marked_names(text, title)
        return [name for name in names if accept is None or accept(name.split())][:MAX_PHRASES]
    joined = find_joined_names(text, language, title)
    words_of_text = folded(text)
    enough = 2 if words_of_text.count(" ") > LONG_TEXT else 1
    selection: list[str] = []
    for phrase in [
        *joined,
        *_names(text, language),
        *sorted(_keywords(text, language), key=lambda phrase: " " not in phrase),
    ]:
        words = _words(phrase)
        often = words_of_text.count(folded(phrase))
        needed = enough + 1 if len(words) == 1 and enough > 1 else enough
        if (
            often >= needed
            and (phrase in joined or _is_key_phrase(phrase, words, language))
            and (accept is None or accept(trim(phrase, language)))
            and not any(_overlap(words, other) for other in selection)
        ):
            selection.append(phrase)
    return selection[:MAX_PHRASES]


def make_hashtags(phrases: list[str], language: str = "en") -> list[str]:
    """Return hashtags in CamelCase, without articles at their ends, the most relevant first."""
    tags: dict[str, str] = {}
    used: list[list[str]] = []
    for phrase in phrases:
        words = re.findall(r"[^\W_]+", re.sub("['’]", "", " ".join(trim(phrase, language))))
        tag = "".join(word[:1].upper() + word[1:] for word in words)
        if any(set(words) <= known for known in map(set, used)):
            continue
        if tag and not tag[0].isdigit() and len(tag) <= LONGEST_TAG and re.fullmatch(r"\w*[^\W\d_]\w*", tag):
            tags.setdefault(tag.casefold(), f"#{tag}")
            used.append(words)
    return list(tags.values())[:MAX_TAGS]


def trim(phrase: str, language: str) -> list[str]:
    """Return the words of a phrase without articles and the like at its ends."""
    plain = _ELIDED.sub("", phrase) if language in ("fr", "it", "ca") else phrase
    return _trim(plain.split(), language)


def _names(text: str, language: str) -> list[str]:
    """Return repeated names, the most frequent first."""
    names = (" ".join(_trim(match[0].split(), language)) for match in _NAME.finditer(text))
    return [name for name, count in Counter(names).most_common() if count > 1 and " " in name]


def _linking(language: str) -> frozenset[str]:
    """Return the words of a language that only link others."""
    return _LINKING if language in ("", "en") else function_words(language)


def _trim(words: list[str], language: str) -> list[str]:
    """Return `words` without linking words at the ends."""
    linking, words = _linking(language), list(words)
    while words and words[0].casefold() in linking:
        del words[0]
    while words and words[-1].casefold() in linking:
        del words[-1]
    return words


def _keywords(text: str, language: str) -> list[str]:
    from yake import KeywordExtractor  # see `readability`

    extractor = KeywordExtractor(
        lan=_YAKE_NAMES.get(language, language or "en"), n=3, dedupLim=0.9, top=6 * MAX_PHRASES
    )
    return [" ".join(phrase.split()) for phrase, _score in extractor.extract_keywords(text)]


def folded(text: str) -> str:
    """Return the words of a text in lower case, with a space around each."""
    return f" {' '.join(re.findall(_WORD, text.casefold()))} "


def _words(phrase: str) -> list[str]:
    """Return the words of a phrase, case-folded, without a plural s."""
    return [word.removesuffix("s") for word in re.findall(_WORD, phrase.casefold())]


def _is_key_phrase(phrase: str, words: list[str], language: str) -> bool:
    if not words or len(phrase) > LONGEST_PHRASE or sum(char.isalpha() for char in phrase) < 3:
        return False
    parts, linking = phrase.casefold().split(), _linking(language)
    if _DATE.get(language, _DATE["en"]) & {*words, *parts}:
        return False
    if len(words) > 1 and language == "de" and not phrase.split()[-1][0].isupper():
        return False  # a noun with a verb: German nouns have a capital letter
    if len(words) > 1:
        return linking.isdisjoint(parts)
    return words[0] not in _EMPTY and (language in ("", "en") or linking.isdisjoint(parts))


def _overlap(words: list[str], other: str) -> bool:
    """Return whether one phrase is part of the other."""
    known = _words(other)
    return set(words) <= set(known) or set(known) <= set(words)
