"""Detects the format of a document, mainly by its content.

A file name or media type counts as much as one clear sign in the text: servers send Markdown as plain text, and file
names are arbitrary.
"""

from __future__ import annotations

import codecs
import re
from typing import Literal

from swallowtail.workers.reading.blocks import UnreadableError
from swallowtail.workers.reading.charsets import find_utf_16
from swallowtail.workers.reading.markdown_dialects import FRONT_MATTER
from swallowtail.workers.reading.structured_data import SEARCHED_LENGTH, find_data

Format = Literal[
    "html", "markdown", "restructuredtext", "asciidoc", "org", "mediawiki", "json", "csv", "xml", "code", "plain",
    "pdf", "docx",
]  # fmt: skip

#: Media types and file extensions, and the format that they indicate.
HINTS: dict[str, Format] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/x-markdown": "markdown",
    "text/x-rst": "restructuredtext",
    "text/prs.fallenstein.rst": "restructuredtext",
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".rst": "restructuredtext",
    ".rest": "restructuredtext",
}

_CANNOT: tuple[tuple[bytes, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "a Word document of the old kind (.doc); save it as .docx or PDF"),
    (b"{\\rtf", "Rich Text; save it as .docx or PDF"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"\x1f\x8b", "a compressed file"),
)
_PAGE = re.compile(r"(?:\s|<!--.{0,2000}?-->|<\?xml[^>]{0,200}>)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.S)
_FENCE = re.compile(r"^ {0,3}(?:```|~~~)", re.MULTILINE)
_ELEMENT = re.compile(r"\s*<[a-z]", re.IGNORECASE)
_ELEMENTS = re.compile(
    r"</?(?:p|div|h[1-6]|ul|ol|li|table|br|section|article|span|a|b|i|em|strong)\b[^<>]{0,500}>", re.I
)
_BLOCK_END = re.compile(r"</(?:p|div|li|h[1-6]|ul|ol|table|section|article)\s*>", re.IGNORECASE)


def _signs(*pairs: tuple[str, int]) -> tuple[tuple[re.Pattern[str], int], ...]:
    return tuple((re.compile(pattern, re.MULTILINE), weight) for pattern, weight in pairs)


_RESTRUCTURED = _signs(
    (r"^[ ]{0,3}\.\. (?:\|[^|\n]{1,80}\| )?[\w:+.-]{1,40}::(?=\s|$)", 3),
    (r"^\.\. (?:_[^:\n]{1,100}:|\[[\w#*.-]{1,40}\] )", 3),
    (r"`[^`\n]{1,200}`__?(?!\w)", 2),
    (r"(?<!\w):[a-zA-Z][\w:+.-]{0,40}:`[^`\n]{1,200}`", 2),
    (r"^([=\-~^\"*+#'`.:_])\1{2,200}\n[^\n]{1,200}\n\1{3,200}$", 3),
    (r"^\S[^\n]{0,200}\n([~^\"*+#'`.:_])\1{2,200}$", 2),
    (r"(?<!:)::\n(?:[ ]*\n)[ ]{2,20}\S", 2),
)
_MARKDOWN = _signs(
    (r"^#{1,6}[ \t]+\S", 2),
    (r"\]\(", 2),
    (r"^```|(?:\A|(?<=\n\n))~~~", 3),
    (r"^\[[^\]\n]{1,100}\]:\s", 3),
    (r"^\|?[ ]{0,3}:?-{3,}[ :-]{0,40}\|", 3),
    (r"^>[ \t]", 1),
)
_LIGHT: dict[Format, tuple[tuple[re.Pattern[str], int], ...]] = {
    "asciidoc": _signs(
        (r"^={1,5} (?![^\n]*=[ \t]*$)\S", 3),
        (r"^(?:image|video|include|toc)::[^\s\[]{0,300}\[", 3),
        (r"^\[(?:source|NOTE|TIP|IMPORTANT|WARNING|CAUTION|quote|cols|%|discrete|#|\[)[^\n]{0,200}\]$", 3),
        (r"^\|===", 3),
        (r"(?<!\w)(?:link|xref|footnote|kbd|btn|image):[^\s\[]{0,300}\[", 3),
    ),
    "org": _signs(
        (r"^#\+[A-Za-z_]{2,30}(?::|$|[ ])", 4),
        (r"^[ \t]*:(?:PROPERTIES|END|LOGBOOK):[ \t]*$", 3),
        (r"\[\[[^\[\]\n]{1,300}\]\[[^\[\]\n]{1,300}\]\]", 3),
        (r"^\*{1,6} (?:TODO|DONE) ", 3),
    ),
    "mediawiki": _signs(
        (r"^(={2,5})[^=\n][^\n]{0,200}\1[ \t]*$", 3),
        (r"'''[^'\n]{1,200}'''", 2),
        (r"^\{\||^\|-|^\|\}", 3),
        (r"\[\[(?:File|Image|Category|Datei|Bild|Kategorie|Fichier|Archivo):", 4),
        (r"\{\{[^{}\n]{1,200}\|", 2),
        (r"<ref[ >/]", 2),
    ),
}
#: A markup format must have more weight than this.
LEAST_WEIGHT = 3
#: Marks that plain text uses as well; Markdown reads them correctly.
_MARKS = _signs(
    (r"\*\*[^*\n]{1,200}\*\*|(?<!\w)[*_][^*_\n]{1,200}[*_](?!\w)|`[^`\n]{1,200}`|(?<!!)\[[^\]\n]{1,200}\]\[", 1),
    (r"^\S[^\n]{0,200}\n(?:={3,200}|-{3,200})$", 1),
    (r"</?[a-z][a-z0-9]{0,20}[ >/]|<!--", 1),
)


def find_packed_format(body: bytes) -> Format | None:
    """Return `pdf` or `docx` by the first bytes, None for text. Raises UnreadableError for other binary formats."""
    if b"%PDF-" in body[:1024]:
        return "pdf"
    if body.startswith(b"PK\x03\x04"):
        return "docx"
    for start, name in _CANNOT:
        if body.startswith(start):
            raise UnreadableError(f"it is {name}")
    marked = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)) or find_utf_16(body)
    if b"\0" in body[:SEARCHED_LENGTH] and not marked:
        raise UnreadableError("it is a binary file of an unknown kind")
    return None


def find_text_format(text: str, media_type: str = "", name: str = "") -> Format:
    """Return the markup or data format of a text; the hints count as one sign."""
    whole = text.replace("\r\n", "\n")
    text = whole[:SEARCHED_LENGTH]
    ending = re.search(r"\.\w{1,10}$", name.lower())
    hints = {HINTS.get(media_type.lower()), HINTS.get(ending[0]) if ending else None}
    if _PAGE.match(text) or ("html" in hints and _ELEMENTS.search(text)):
        return "html"
    # A document that declares its format, or fences its code, is not code.
    is_marked = bool(hints & {"markdown", "restructuredtext"}) or _FENCE.search(text) is not None
    if (data := find_data(whole)) is not None and not (data == "code" and is_marked):
        return data
    light = {name: _sum_weights(text, signs) for name, signs in _LIGHT.items()}
    restructured = _sum_weights(text, _RESTRUCTURED) + 3 * ("restructuredtext" in hints)
    markdown = _sum_weights(text, _MARKDOWN) + 3 * ("markdown" in hints)
    markdown += 3 * (FRONT_MATTER.match(text) is not None)
    best = max(light, key=lambda name: light[name])
    if light[best] > max(restructured, markdown, LEAST_WEIGHT):
        return best
    if restructured > markdown:
        return "restructuredtext"
    if not markdown and _ELEMENT.match(text) and _BLOCK_END.search(text):
        return "html"
    return "markdown" if markdown or _sum_weights(text, _MARKS) else "plain"


def _sum_weights(text: str, signs: tuple[tuple[re.Pattern[str], int], ...]) -> int:
    """Return the total weight of the signs in the text; each counts at most twenty times."""
    return sum(weight * min(20, sum(1 for _ in pattern.finditer(text))) for pattern, weight in signs)
