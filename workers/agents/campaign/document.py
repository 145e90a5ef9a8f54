"""Selects the parts of a brief that may be quoted, and finds its title."""

from __future__ import annotations

import re
from dataclasses import dataclass

from swallowtail.workers.reading.blocks import Block, ReadDocument, clean

#: Headings of sections that are for the team and not for the public.
INTERNAL = re.compile(
    r"\b(internal|confidential|not for publication|do not publish|do not (say|use|mention)|don['’]?ts?|tone|voice|style"
    r"|approvals?|embargo|budget|deliverables|notes? (to|for)"
    r"|intern(e[rsnm]?|as?|os?)|vertraulich\w*|nicht (zur |zu )?(veröffentlich\w*|sagen|verwenden|erwähnen)"
    r"|tonalität|tonfall|stil|freigaben?|sperrfrist|hinweise? (an|für)"
    r"|confidentiel(le)?s?|ne pas (dire|publier|diffuser|utiliser|mentionner)|ton (et|de)|livrables|notes? (à|pour)"
    r"|confidencial(es)?|no (decir|publicar|usar|mencionar)|tono|estilo|presupuesto|entregables|notas? (a|para))\b"
    r"|^(intern|ton)$"
    # Languages that join words or inflect their ends.
    r"|\b(riservat[oaie]|uso interno|vertrouwelijk|niet publiceren|wewnętrzn\w*|poufn\w*|внутренн\w*|конфиденциальн\w*"
    r"|не (публиковать|для публикации))"
    r"|社内|社外秘|内部|機密|非公開|公開しない|保密|机密|不公开|不公開|내부|대외비|비공개|داخلي|سري|פנימי|סודי|ภายใน",
    re.IGNORECASE,
)
#: Words that stand for *brief* around the name of its subject.
_ABOUT = r"(?:(?:product|launch|creative|campaign|marketing|press|content|social|media)\s+)*(?:brief|release)"
_TITLE_BEFORE = re.compile(rf"^{_ABOUT}\s*(?:[:–—|-]|for\s+(?:the\s+)?)\s*", re.IGNORECASE)
_TITLE_AFTER = re.compile(rf"\s*[:–—|,(-]\s*{_ABOUT}\)?\s*$", re.IGNORECASE)
#: Titles of sections that are not titles of documents.
_SECTION = re.compile(
    r"(?:about|background|contents|table of contents|description|documentation|donations?|features?|getting started"
    r"|highlights|installation|installing|introduction|license|news|overview|quick ?start|requirements|sponsors?|status"
    r"|summary|usage|warning|inhalt|überblick|einleitung|sommaire|présentation|resumen|introducción)\W*",
    re.IGNORECASE,
)
MAX_TITLE = 120


@dataclass(frozen=True, slots=True)
class Document:
    """A brief: its title, the blocks that may be quoted, and the headings of the sections left out as internal."""

    title: str
    blocks: tuple[Block, ...]
    left_out: tuple[str, ...] = ()


def make_document(reading: ReadDocument) -> Document:
    """Return the document without the sections for the team, under its title."""
    blocks = [block for block in reading.blocks if block.text]
    if reading.title and not any(block.level == 1 for block in blocks):
        blocks.insert(0, Block("heading", clean(reading.title), 1))
    public, left_out = _without_internal(blocks)
    if not any(block.kind != "heading" for block in public):
        public, left_out = blocks, []
    return Document(_title(public), tuple(public), tuple(left_out))


def _without_internal(blocks: list[Block]) -> tuple[list[Block], list[str]]:
    """Return the blocks that may be quoted, and the headings of the sections that may not."""
    public: list[Block] = []
    left_out: list[str] = []
    hidden = 0  # the level of the heading that began the internal section, 0 outside one
    for block in blocks:
        if block.kind == "heading" and (not hidden or block.level <= hidden):
            hidden = block.level if block.level > 1 and INTERNAL.search(block.text) else 0
            if hidden:
                left_out.append(block.text)
        if not hidden:
            public.append(block)
    return public, left_out


def _title(blocks: list[Block]) -> str:
    """Return the first heading of the highest level, else the start of the first block; without the word *brief*.

    The heading of one of several sections is no title, except a main heading above everything.
    """
    headings = sorted((block.level, index) for index, block in enumerate(blocks) if block.kind == "heading")
    if not blocks:
        return ""
    equal = [index for level, index in headings if level == headings[0][0]]
    if len(equal) > 1 and (headings[0] != (1, 0) or _SECTION.fullmatch(blocks[0].text)):
        return ""
    text = blocks[headings[0][1] if headings else 0].text
    shorter = _TITLE_AFTER.sub("", _TITLE_BEFORE.sub("", text)).strip() or text
    if headings or len(shorter) <= MAX_TITLE:
        return shorter[:MAX_TITLE].strip()
    return ""
