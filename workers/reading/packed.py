"""Reads PDF and DOCX into blocks. Off the road of an event: documents are read by it inside a step.

Both are packed, so that a small file may unpack to any size: the sizes that a DOCX declares are added up before
anything is unpacked (more is never read than declared), and a PDF is read page by page until there is enough.
"""

from __future__ import annotations

import io
import logging
import re
import zipfile
from typing import Any

import mammoth
from pypdf import PasswordType, PdfReader
from pypdf.errors import PyPdfError

from workers.reading.blocks import Block, Bounds, UnreadableError, clean
from workers.reading.page import read_html
from workers.reading.texts import join_lines, looks_like_heading

#: Styles that Word has for a document's head, under the names that are in every language's files.
_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => h2:fresh"
#: Titles that programs write by themselves.
_NO_TITLE = re.compile(
    r"^(?:untitled|microsoft word|document\d*$|.*\.(?:docx?|odt|pages|tex|indd|pdf)$)", re.IGNORECASE
)
#: What pypdf raises for a file that is not as it should be.
_BROKEN_PDF = (PyPdfError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError, ArithmeticError)
_ENDS = (".", "!", "?", ":", "…")


def read_docx(body: bytes, bounds: Bounds) -> tuple[str, list[Block], bool]:
    """The title in the properties, the blocks, and whether it was nested too deeply. Raises UnreadableError."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            members = packed.infolist()
            if not any(member.filename == "word/document.xml" for member in members):
                raise UnreadableError("it is a packed file, and no Word document")
            if sum(member.file_size for member in members) > bounds.unpacked:
                raise UnreadableError(f"it unpacks to more than {bounds.unpacked} bytes")
            title = _docx_title(packed)
        made = mammoth.convert_to_html(
            io.BytesIO(body), style_map=_STYLES, convert_image=_no_image, external_file_access=False
        )
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError, SyntaxError) as problem:
        raise UnreadableError(f"the Word document is broken: {_first_line(problem)}") from None
    _, blocks, cut = read_html(made.value)
    return title, blocks, cut


def read_pdf(body: bytes, bounds: Bounds) -> tuple[str, list[Block], bool]:
    """The title in the properties, the blocks, and whether there was more text than is read. Raises UnreadableError."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    blocks: list[Block] = []
    try:
        reader = PdfReader(io.BytesIO(body))
        if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
            raise UnreadableError("the PDF is locked with a password")
        title = clean(str((reader.metadata.title if reader.metadata else "") or ""))
        size = 0
        for page in reader.pages:
            if size > bounds.characters:
                break
            text = page.extract_text()
            size += len(text)
            blocks += _lines_to_blocks(text.splitlines())
    except _BROKEN_PDF as problem:
        raise UnreadableError(f"the PDF is broken: {_first_line(problem)}") from None
    return "" if _NO_TITLE.match(title) else title, blocks, size > bounds.characters


def _docx_title(packed: zipfile.ZipFile) -> str:
    try:
        properties = packed.read("docProps/core.xml").decode("utf-8", "replace")
    except KeyError:
        return ""
    found = re.search(r"<dc:title>([^<]{1,300})</dc:title>", properties)
    title = clean(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")) if found else ""
    return "" if _NO_TITLE.match(title) else title


@mammoth.images.img_element  # type: ignore[untyped-decorator]
def _no_image(_image: Any) -> dict[str, str]:
    return {}


def _lines_to_blocks(lines: list[str]) -> list[Block]:
    """The lines of a page as headings, items and paragraphs: a line much shorter than the widest ends one."""
    widest = max((len(line) for line in lines), default=0)
    blocks: list[Block] = []
    held: list[str] = []
    for line in [*lines, ""]:
        text = line.strip()
        is_short = len(text) < 0.6 * widest
        is_free = not held or held[-1].rstrip().endswith(_ENDS)
        if not text or (is_short and is_free and looks_like_heading(line) and text[:1].isupper()):
            blocks += join_lines(_unhyphenated(held)) if held else []
            held = []
            if text:
                blocks.append(Block("heading", clean(text), 2))
            continue
        held.append(line)
        if len(text) < 0.85 * widest and text.endswith(_ENDS):
            blocks += join_lines(_unhyphenated(held))
            held = []
    return [block for block in blocks if block.text and re.search(r"[^\W\d]", block.text)]


def _unhyphenated(lines: list[str]) -> list[str]:
    """The lines with words put together that were parted at a line's end."""
    text = re.sub(r"(?<=[^\W\d])[-\u00ad]\n\s*(?=[^\W\d_A-Z])", "", "\n".join(lines))
    return text.split("\n")


def _first_line(problem: Exception) -> str:
    return clean(str(problem))[:200] or type(problem).__name__
