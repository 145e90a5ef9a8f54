"""Decodes a document's bytes with the character sets of the Encoding Standard, which browsers use.

Python's own codecs are not used by name: some take quadratic time (`punycode`), always fail (`undefined`) or are no
character sets (`rot13`, `base64_codec`).
"""

from __future__ import annotations

import codecs
import re

import charset_normalizer
import webencodings

#: A page's declaration of its character set, searched in its first bytes only.
_DECLARED = re.compile(
    rb"<meta[^>]{0,200}?charset=[\"']?\s*([A-Za-z0-9_:.-]{1,40})"
    rb"|^\s*<\?xml[^>]{0,200}?encoding=[\"']([A-Za-z0-9_:.-]{1,40})",
    re.IGNORECASE,
)
#: Candidates of the guess, and the number of bytes it reads.
_LIKELY_NAMES = """
cp1252 cp1250 cp1251 koi8_r shift_jis euc_jp gb18030 big5 euc_kr cp1253 cp1254 cp1255 cp1256
"""
_LIKELY = _LIKELY_NAMES.split()
_GUESSED_BY = 20_000
#: Letters of the Hebrew character set, and how many of them suffice as proof.
_ASCII, _HEBREW, _ENOUGH = re.compile(rb"[\x00-\x7f]+"), bytes(range(0xE0, 0xFB)), 16
#: Letters of Central Europe as they look when decoded as Western European.
_LATIN_2 = re.compile(r"(?<=[a-z])[¶±¼]|[¶±¼](?=[a-z])")
_EASTERN = re.compile(r"(?<=[a-z])¿|[³¹](?=[a-z])")
#: Spellings of `latin1` by Python and many servers.
_LATIN = re.compile(r"^latin[-_](?=\d)", re.IGNORECASE)
_LOOKED_AT = 4096
_LONGEST_NAME = 40


def decode(body: bytes, charset: str | None, *, is_html: bool = False) -> str:
    """Return the text of `body`: by its byte order mark, else by the declared character set, else as UTF-8.

    An unknown character set counts as none; invalid bytes become U+FFFD. Without a declaration, the character set is
    guessed if most non-ASCII bytes are not valid UTF-8.
    """
    if body.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return body.decode("utf-32", "replace").removeprefix("\ufeff")
    declared = _DECLARED.search(body[:_LOOKED_AT]) if is_html and charset is None else None
    name = (declared[1] or declared[2]).decode("ascii") if declared else charset or ""
    known = webencodings.lookup(_LATIN.sub("latin", name)) if len(name) <= _LONGEST_NAME else None
    if declared and known and known.name.startswith("utf-16"):
        known = None  # a page whose declaration could be read is not in UTF-16
    if known is None:
        known = webencodings.lookup(find_utf_16(body) or _guess(body) or "utf-8")
    text, _ = webencodings.decode(body, known, errors="replace")
    return str(text)


def find_utf_16(body: bytes) -> str:
    """Return UTF-16 with its byte order if the zeros of a text without a mark show it, else an empty text."""
    start = body[:_LOOKED_AT]
    zeros = start[::2].count(0), start[1::2].count(0)
    if max(zeros) * 2 < 0.1 * len(start) or min(zeros) * 20 > max(zeros):
        return ""
    return "utf-16be" if zeros[0] > zeros[1] else "utf-16le"


def _guess(body: bytes) -> str:
    """Return the likely character set of a text that is not UTF-8; an empty text if it is, or nearly is."""
    start = body[:_GUESSED_BY]
    if b"\x1b$" in start and start.isascii():
        return "iso-2022-jp"
    # The last letter of the sample may be cut in two.
    read = codecs.getincrementaldecoder("utf-8")("replace").decode(start, len(body) <= _GUESSED_BY)
    broken = read.count("\ufffd")
    if not broken or sum(not char.isascii() for char in read) >= 2 * broken:
        return ""
    best = charset_normalizer.from_bytes(start, cp_isolation=_LIKELY).best()
    encoding = best.encoding if best is not None else "cp1252"
    letters = _ASCII.sub(b"", start)
    if encoding in ("koi8_r", "cp1251") and len(letters) >= _ENOUGH and not letters.translate(None, _HEBREW):
        encoding = "cp1255"  # capital or small letters of one alphabet are letters of the other
    if encoding in ("cp1250", "cp1252"):
        western = start.decode("cp1252", "replace")
        encoding = "iso-8859-2" if _LATIN_2.search(western) else "cp1250" if _EASTERN.search(western) else "cp1252"
    return encoding.replace("cp", "windows-").replace("_r", "-r").replace("euc_", "euc-")
