"""The offline text engine: composes posts from sentences quoted from the source.

It is not a language model and reports so (`provider: offline`). It adds an opening in the requested tone, selects and
orders quotations, and keeps to the platform's limits; the same request always gives the same text. It does not apply
the brand's rules by itself: the Editor names the violations, and the next round fixes those.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from swallowtail.workers.llm.pace import Pace
from swallowtail.workers.llm.provider import DraftRequest, Fact, Tone
from swallowtail.workers.llm.wording import cut, drop_hashtags, mentions, remove_exclamation_marks, without_emoji

#: A quotation cut shorter than this, in the platform's count, is not used.
SHORTEST_QUOTE = 40


@dataclass(frozen=True, slots=True)
class ToneMarks:
    """The marks of a tone: around the title, and before each fact of a list."""

    before: str
    after: str
    bullet: str


TONE_MARKS: dict[Tone, ToneMarks] = {
    "friendly": ToneMarks("👋 ", "", "•"),
    "professional": ToneMarks("", "", "•"),
    "playful": ToneMarks("✨ ", "!", "👉"),
    "bold": ToneMarks("", "!", "→"),
    "plain": ToneMarks("", "", "-"),
}

#: The line before the facts, by language; other languages get none.
OPENERS: dict[str, dict[Tone, str]] = {
    "en": {
        "friendly": "Good to know{audience}:",
        "professional": "Key points{audience}:",
        "playful": "Ready? Here we go{audience}:",
        "bold": "What matters{audience}:",
        "plain": "In short{audience}:",
    },
    "de": {
        "friendly": "Gut zu wissen{audience}:",
        "professional": "Das Wichtigste{audience}:",
        "playful": "Bereit? Los geht’s{audience}:",
        "bold": "Darauf kommt es an{audience}:",
        "plain": "Kurz gesagt{audience}:",
    },
    "fr": {
        "friendly": "Bon à savoir{audience}\u00a0:",
        "professional": "Points clés{audience}\u00a0:",
        "playful": "Prêts\u00a0? C’est parti{audience}\u00a0:",
        "bold": "L’essentiel{audience}\u00a0:",
        "plain": "En bref{audience}\u00a0:",
    },
    "es": {
        "friendly": "Conviene saber{audience}:",
        "professional": "Puntos clave{audience}:",
        "playful": "¿Listos? Allá vamos{audience}:",
        "bold": "Lo que importa{audience}:",
        "plain": "En resumen{audience}:",
    },
}
#: Languages in which a single mark after a title is wrong (Spanish has two, French a space before it).
_NO_MARK_AFTER = frozenset({"es", "fr"})


class OfflineProvider:
    """Writes without network or key, deterministically; it streams at the given pace."""

    name = "offline"
    model = "extractive-1"

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()

    def draft(self, request: DraftRequest) -> Iterator[str]:
        """Yield the post line by line, or word by word at a pace."""
        return self._pace.stream(compose(request))


@dataclass(frozen=True, slots=True)
class PostParts:
    """The parts of a post; any may be empty."""

    title: str = ""
    opener: str = ""
    facts: tuple[Fact, ...] = ()
    required: tuple[str, ...] = ()
    link: str = ""
    hashtags: tuple[str, ...] = ()


def compose(request: DraftRequest) -> str:
    """Return the post: required parts first, then one whole quotation, then optional parts as far as they fit."""
    facts = _usable_facts(request)
    tags = _usable_hashtags(request)
    parts = PostParts(title=_title(request))
    for phrase in dict.fromkeys(_subjects(request, "required_phrase")):
        parts = _grow(request, parts, required=(*parts.required, phrase))
    parts = _grow(request, parts, link=request.link)
    parts = _add_first_fact(request, parts, facts, tags[:1])
    if request.platform.layout != "line":
        parts = _grow(request, parts, opener=_opener(request))
    for tag in tags:
        parts = _grow(request, parts, hashtags=(*parts.hashtags, tag))
    for fact in facts:
        if fact not in parts.facts:
            parts = _grow(request, parts, within=request.platform.target, facts=(*parts.facts, fact))
    return _join_parts(request, parts)


def _grow(request: DraftRequest, parts: PostParts, within: int | None = None, **more: object) -> PostParts:
    """Return `parts` with `more`, or unchanged if the post would become too long."""
    grown = replace(parts, **more)  # type: ignore[arg-type]
    limit = request.platform.limit if within is None else min(within, request.platform.limit)
    return grown if request.platform.measure(_join_parts(request, grown)) <= limit else parts


def _add_first_fact(request: DraftRequest, parts: PostParts, facts: list[Fact], tags: tuple[str, ...]) -> PostParts:
    """Add the best fact that fits whole, if possible beside a hashtag; else the best one, cut."""
    for room_for in dict.fromkeys((tags, ())):
        for fact in facts:
            tried = _grow(request, parts, facts=(fact,), hashtags=room_for)
            if tried.facts:
                return replace(tried, hashtags=())
    if not facts:
        return parts
    room = request.platform.limit - request.platform.measure(
        _join_parts(request, replace(parts, facts=(Fact(text="…"),)))
    )
    if room < SHORTEST_QUOTE:
        return parts
    return _grow(request, parts, facts=(replace(facts[0], text=cut(facts[0].text, room, request.platform.measure)),))


def _subjects(request: DraftRequest, rule: str) -> list[str]:
    return [finding.subject for finding in request.findings if finding.rule == rule]


def _usable_facts(request: DraftRequest) -> list[Fact]:
    """Return the facts that the Editor did not reject, the best first."""
    banned = _subjects(request, "banned_word")
    facts = [replace(fact, text=_apply_findings(request, fact.text)) for fact in request.facts]
    markup = _subjects(request, "markup")
    facts = [fact for fact in facts if fact.text and not any(mentions(fact.text, word) for word in banned)]
    facts = [fact for fact in facts if not any(piece in fact.text for piece in markup)]
    limits = _subjects(request, "reading_grade")
    if not limits:
        return facts
    easiest = sorted(facts, key=lambda fact: fact.grade)
    return [fact for fact in facts if fact.grade <= float(limits[0])] or easiest[:1]


def _usable_hashtags(request: DraftRequest) -> tuple[str, ...]:
    banned = ["".join(word.split()).casefold() for word in _subjects(request, "banned_word")]
    tags = [tag for tag in request.hashtags if not any(word in tag.casefold() for word in banned)]
    return tuple(tags[: request.platform.max_hashtags])


def _title(request: DraftRequest) -> str:
    """Return the title in its tone, in at most half of the post; empty if it contains a banned word."""
    title = cut(drop_hashtags(request.title), request.platform.limit // 2, request.platform.measure)
    if not title or any(mentions(title, word) for word in _subjects(request, "banned_word")):
        return ""
    if any(piece in title for piece in _subjects(request, "markup")):
        return ""
    voice = TONE_MARKS[request.tone]
    bare_end = title[-1] in ".!?…:" or request.language in _NO_MARK_AFTER
    after = "" if bare_end or _subjects(request, "exclamation_marks") else voice.after
    return _apply_findings(request, voice.before + title + after)


def _opener(request: DraftRequest) -> str:
    audience = f", {request.audience}" if request.audience else ""
    opener = OPENERS.get(request.language, {}).get(request.tone, "").format(audience=audience)
    opener = " ".join(part for part in _apply_findings(request, opener).split(" ") if part)
    banned = _subjects(request, "banned_word")
    return "" if any(mentions(opener, word) for word in banned) else opener


def _apply_findings(request: DraftRequest, text: str) -> str:
    """Return `text` without what the Editor rejected and without hashtags of its own."""
    text = drop_hashtags(text)
    if _subjects(request, "exclamation_marks"):
        text = remove_exclamation_marks(text)
    if _subjects(request, "emoji"):
        text = without_emoji(text)
    return text


def _join_parts(request: DraftRequest, parts: PostParts) -> str:
    facts = [fact.text for fact in sorted(parts.facts, key=lambda fact: fact.position)]
    tail = [*parts.required, parts.link, " ".join(parts.hashtags)]
    if request.platform.layout == "list":
        bullet = _apply_findings(request, TONE_MARKS[request.tone].bullet) or "-"
        body = ["\n".join([parts.opener, *(f"{bullet} {fact}" for fact in facts)]).strip()]
    elif request.platform.layout == "paragraphs":
        body = [parts.opener, *facts]
    else:
        body = [" ".join(facts)]
    return "\n\n".join(part for part in (parts.title, *body, *tail) if part)
