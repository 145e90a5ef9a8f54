"""Reads PDF and DOCX into blocks.

Both formats are compressed, so a small file may unpack to any size: the declared sizes of a DOCX are added up before
anything is unpacked (never more is read than declared), and a PDF is read page by page until the limit is reached.
"""

from __future__ import annotations

import io
import logging
import re
import zipfile
from collections import Counter
from typing import Any

import mammoth
from pypdf import PasswordType, PdfReader
from pypdf.errors import PyPdfError

from swallowtail.workers.reading.alphabets import SENTENCE_ENDS
from swallowtail.workers.reading.blocks import Block, Bounds, UnreadableError, clean
from swallowtail.workers.reading.html import read_html
from swallowtail.workers.reading.markdown import join_lines, looks_like_heading

#: Word's styles for the head of a document; their names are the same in all languages.
_STYLES = "\n".join(
    [
        "p[style-name='Title'] => h1:fresh",
        "p[style-name='Subtitle'] => h2:fresh",
        # Tables of contents.
        *(f"p[style-name='{name} {level}'] => !" for name in ("toc", "TOC") for level in range(1, 10)),
    ]
)
#: Titles that programs insert automatically.
_NO_TITLE = re.compile(
    r"^(?:untitled|microsoft word|document\d*$|.*\.(?:docx?|odt|pages|tex|indd|pdf)$)", re.IGNORECASE
)
#: Exceptions that pypdf raises for invalid files.
_BROKEN_PDF = (PyPdfError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError, ArithmeticError)
_ENDS = (*SENTENCE_ENDS, ":")
#: Ligatures.
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})
#: Lines at the top and bottom of a page that may repeat on every page.
_EDGE = 2
_PAGE_NUMBER = re.compile(
    r"\W*(?:(?:page|seite|pagina|página|strona|стр\.?|pp?\.?|s\.|第)\s*)?\d{1,4}"
    r"\s*(?:(?:/|of|von|sur|de|di|van|z|из)\s*\d{1,4})?\s*(?:页|頁|ページ)?\W*",
    re.IGNORECASE,
)


def read_docx(body: bytes, bounds: Bounds) -> tuple[str, list[Block], bool]:
    """Return the title in the properties, the blocks, and whether it was nested too deeply. Raises UnreadableError."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            members = packed.infolist()
            if not any(member.filename == "word/document.xml" for member in members):
                raise UnreadableError("it is a packed file, and no Word document")
            if sum(member.file_size for member in members) > bounds.unpacked:
                raise UnreadableError(f"it unpacks to more than {bounds.unpacked} bytes")
            title = _docx_title(packed)
        html = mammoth.convert_to_html(
            io.BytesIO(body), style_map=_STYLES, convert_image=_no_image, external_file_access=False
        )
    except (zipfile.BadZipFile, KeyError, ValueError, NotImplementedError, RuntimeError, SyntaxError) as problem:
        raise UnreadableError(f"the Word document is broken: {_first_line(problem)}") from None
    _, blocks, cut = read_html(html.value)
    return title, blocks, cut


def read_pdf(body: bytes, bounds: Bounds) -> tuple[str, list[Block], bool]:
    """Return the title in the properties, the blocks, and whether there was more text. Raises UnreadableError."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    blocks: list[Block] = []
    try:
        reader = PdfReader(io.BytesIO(body))
        if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
            raise UnreadableError("the PDF is locked with a password")
        title = clean(str((reader.metadata.title if reader.metadata else "") or ""))
        size, pages = 0, list[list[str]]()
        for page in reader.pages:
            if size > bounds.characters:
                break
            text = page.extract_text().translate(_LIGATURES)
            size += len(text)
            pages.append([line for line in text.splitlines() if line.strip()])
        for lines in without_frames(pages):
            blocks = _continue(blocks, _lines_to_blocks(lines))
    except _BROKEN_PDF as problem:
        raise UnreadableError(f"the PDF is broken: {_first_line(problem)}") from None
    return "" if _NO_TITLE.match(title) else title, blocks, size > bounds.characters


def _docx_title(packed: zipfile.ZipFile) -> str:
    try:
        properties = packed.read("docProps/core.xml").decode("utf-8", "replace")
    except KeyError:
        return ""
    match = re.search(r"<dc:title>([^<]{1,300})</dc:title>", properties)
    title = clean(match[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")) if match else ""
    return "" if _NO_TITLE.match(title) else title


@mammoth.images.img_element  # type: ignore[untyped-decorator]
def _no_image(_image: Any) -> dict[str, str]:
    return {}


def without_frames(pages: list[list[str]]) -> list[list[str]]:
    """Return the pages without page numbers and without lines at their edges that repeat on most pages."""
    edges = Counter(key for lines in pages for key in {_key(line) for line in (*lines[:_EDGE], *lines[-_EDGE:])})
    often = {key for key, count in edges.items() if count >= max(2, 0.5 * len(pages))}

    def is_frame(line: str) -> bool:
        return _key(line) in often or _PAGE_NUMBER.fullmatch(line) is not None

    bodies = []
    for lines in pages:
        first = next((place for place, line in enumerate(lines[:_EDGE]) if not is_frame(line)), min(_EDGE, len(lines)))
        last = next((place for place, line in enumerate(lines[: -_EDGE - 1 : -1]) if not is_frame(line)), _EDGE)
        bodies.append(lines[first : max(first, len(lines) - last)])
    return bodies


def _key(line: str) -> str:
    return re.sub(r"\d+", "0", " ".join(line.casefold().split()))


def _continue(blocks: list[Block], more: list[Block]) -> list[Block]:
    """Return the blocks of two pages; a paragraph that continues on the second page is joined."""
    if blocks and more and blocks[-1].kind == more[0].kind == "paragraph":
        before, after = blocks[-1].text, more[0].text
        if not before.endswith(_ENDS) and after[0] == after[0].lower():
            text = clean("\n".join(_unhyphenated([before, after])))
            return [*blocks[:-1], Block("paragraph", text), *more[1:]]
    return blocks + more


def _lines_to_blocks(lines: list[str]) -> list[Block]:
    """Return the lines of a page as headings, items and paragraphs; a much shorter line ends a paragraph."""
    widest = max((len(line) for line in lines), default=0)
    blocks: list[Block] = []
    lines_of_block: list[str] = []
    for line in [*lines, ""]:
        text = line.strip()
        is_short = len(text) < 0.6 * widest
        is_free = not lines_of_block or lines_of_block[-1].rstrip().endswith(_ENDS)
        if not text or (is_short and is_free and looks_like_heading(line) and text[:1].isupper()):
            blocks += join_lines(_unhyphenated(lines_of_block)) if lines_of_block else []
            lines_of_block = []
            if text:
                blocks.append(Block("heading", clean(text), 2))
            continue
        lines_of_block.append(line)
        if len(text) < 0.85 * widest and text.endswith(_ENDS):
            blocks += join_lines(_unhyphenated(lines_of_block))
            lines_of_block = []
    return [block for block in blocks if block.text and re.search(r"[^\W\d]", block.text)]


def _unhyphenated(lines: list[str]) -> list[str]:
    """Return the lines with hyphenated words joined."""
    text = re.sub(
        r"(?<=[^\W\d_])[-\u00ad\u2010]\n\s*(?=([^\W\d_]))",
        lambda match: "" if match[1] == match[1].lower() else match[0],
        "\n".join(lines),
    )
    return text.split("\n")


def _first_line(problem: Exception) -> str:
    return clean(str(problem))[:200] or type(problem).__name__
