"""Decodes a document's bytes by a short list of character sets. Off the road of an event: documents are read by it.

Python's own names are not asked: among them are codecs that take quadratic time (`punycode`), always fail
(`undefined`) or are no character sets at all (`rot13`, `base64_codec`). The list is that of the Encoding Standard,
which browsers use.
"""

from __future__ import annotations

import codecs
import re

import charset_normalizer
import webencodings

#: How a page names its character set itself; looked for in its first bytes only.
_DECLARED = re.compile(
    rb"<meta[^>]{0,200}?charset=[\"']?\s*([A-Za-z0-9_:.-]{1,40})"
    rb"|^\s*<\?xml[^>]{0,200}?encoding=[\"']([A-Za-z0-9_:.-]{1,40})",
    re.IGNORECASE,
)
#: What is guessed among, and by how many bytes.
_LIKELY_NAMES = """
cp1252 cp1250 cp1251 koi8_r shift_jis euc_jp gb18030 big5 euc_kr cp1253 cp1254 cp1255 cp1256
"""
_LIKELY = _LIKELY_NAMES.split()
_GUESSED_BY = 20_000
#: The letters of Hebrew in its character set, and how many of nothing else show it.
_ASCII, _HEBREW, _ENOUGH = re.compile(rb"[\x00-\x7f]+"), bytes(range(0xE0, 0xFB)), 16
#: What letters of Central Europe look like when they are read as those of Western Europe.
_LATIN_2 = re.compile(r"(?<=[a-z])[¶±¼]|[¶±¼](?=[a-z])")
_EASTERN = re.compile(r"(?<=[a-z])¿|[³¹](?=[a-z])")
#: How Python and many servers write `latin1`.
_LATIN = re.compile(r"^latin[-_](?=\d)", re.IGNORECASE)
_LOOKED_AT = 4096
_LONGEST_NAME = 40


def decode(body: bytes, charset: str | None, *, is_html: bool = False) -> str:
    """The text of `body`: by its byte order mark, else by the declared character set, else as UTF-8.

    A character set that is not known counts as none; bytes that do not fit become U+FFFD. Where none is declared and
    most of what is no ASCII is no UTF-8 either, it is guessed.
    """
    if body.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return body.decode("utf-32", "replace").removeprefix("\ufeff")
    declared = _DECLARED.search(body[:_LOOKED_AT]) if is_html and charset is None else None
    name = (declared[1] or declared[2]).decode("ascii") if declared else charset or ""
    known = webencodings.lookup(_LATIN.sub("latin", name)) if len(name) <= _LONGEST_NAME else None
    if declared and known and known.name.startswith("utf-16"):
        known = None  # a page that could be read so far is not in UTF-16, whatever it says
    if known is None:
        known = webencodings.lookup(find_utf_16(body) or _guess(body) or "utf-8")
    text, _ = webencodings.decode(body, known, errors="replace")
    return str(text)


def find_utf_16(body: bytes) -> str:
    """The name of UTF-16 in its byte order when a text without a mark is in it, which its zeros show; else nothing."""
    start = body[:_LOOKED_AT]
    zeros = start[::2].count(0), start[1::2].count(0)
    if max(zeros) * 2 < 0.1 * len(start) or min(zeros) * 20 > max(zeros):
        return ""
    return "utf-16be" if zeros[0] > zeros[1] else "utf-16le"


def _guess(body: bytes) -> str:
    """The likely name of the character set of a text that is not UTF-8; nothing for one that is, or nearly is."""
    start = body[:_GUESSED_BY]
    if b"\x1b$" in start and start.isascii():
        return "iso-2022-jp"
    # A letter that is cut in two where this ends is not broken.
    read = codecs.getincrementaldecoder("utf-8")("replace").decode(start, len(body) <= _GUESSED_BY)
    broken = read.count("\ufffd")
    if not broken or sum(not char.isascii() for char in read) >= 2 * broken:
        return ""
    best = charset_normalizer.from_bytes(start, cp_isolation=_LIKELY).best()
    found = best.encoding if best is not None else "cp1252"
    letters = _ASCII.sub(b"", start)
    if found in ("koi8_r", "cp1251") and len(letters) >= _ENOUGH and not letters.translate(None, _HEBREW):
        found = "cp1255"  # capital letters of the one, or small ones, are the alphabet of the other
    if found in ("cp1250", "cp1252"):
        western = start.decode("cp1252", "replace")
        found = "iso-8859-2" if _LATIN_2.search(western) else "cp1250" if _EASTERN.search(western) else "cp1252"
    return found.replace("cp", "windows-").replace("_r", "-r").replace("euc_", "euc-")
