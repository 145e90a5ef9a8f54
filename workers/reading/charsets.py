"""Decodes a document's bytes by a short list of character sets. Off the road of an event: documents are read by it.

Python's own names are not asked: among them are codecs that take quadratic time (`punycode`), always fail
(`undefined`) or are no character sets at all (`rot13`, `base64_codec`). The list is that of the Encoding Standard,
which browsers use.
"""

from __future__ import annotations

import re

import webencodings

#: How a page names its character set itself; looked for in its first bytes only.
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset=[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
#: How Python and many servers write `latin1`.
_LATIN = re.compile(r"^latin[-_](?=\d)", re.IGNORECASE)
_LOOKED_AT = 4096
_LONGEST_NAME = 40


def decode(body: bytes, charset: str | None, *, is_html: bool = False) -> str:
    """The text of `body`: by its byte order mark, else by the declared character set, else as UTF-8.

    A character set that is not known counts as none; bytes that do not fit become U+FFFD.
    """
    declared = _DECLARED.search(body[:_LOOKED_AT]) if is_html and charset is None else None
    name = declared[1].decode("ascii") if declared else charset or ""
    known = webencodings.lookup(_LATIN.sub("latin", name)) if len(name) <= _LONGEST_NAME else None
    if declared and known and known.name.startswith("utf-16"):
        known = None  # a page that could be read so far is not in UTF-16, whatever it says
    text, _ = webencodings.decode(body, known or webencodings.UTF8, errors="replace")
    return str(text)
