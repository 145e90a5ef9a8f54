"""Refuses a request whose head can be read in two ways. Before the road, in every way of serving.

The standard library's parser stops at a header line that it cannot read, and forgets the `Content-Length` below it: the
body would be taken for the next request. Proxies and servers that read such a head differently let one caller write
another's request (RFC 9112, sections 5 and 6.3). So every line is looked at as it came.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any

#: A request line as RFC 9112 has it: single blanks, no other white space, and a version of HTTP/1.
_REQUEST = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^\0-\x20\x7f]+ HTTP/1\.[0-9]\r?\n?")
#: One header: a name without blanks, and a value without line ends of any kind or zeros. No line is folded.
_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*\r?\n")
_FRAMING = re.compile(rb"(content-length|transfer-encoding)[ \t]*:[ \t]*(.*?)[ \t]*\r?\n", re.IGNORECASE)
_END = (b"\r\n", b"\n", b"")
#: Digits of a body's length; Python reads no number of thousands of them.
LONGEST_LENGTH = 18

REFUSAL = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"


def find_header_error(lines: Sequence[bytes]) -> str | None:
    """Return what is wrong with the lines of a request's headers, as they came; None if nothing is."""
    framing: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line in _END:
            continue
        if not _LINE.fullmatch(line):
            return "a header line is malformed"
        if found := _FRAMING.fullmatch(line):
            framing.append((found[1].lower(), found[2]))
    if len(framing) > 1:
        return "the length of the body is given more than once"
    for name, value in framing:
        if name == b"content-length" and not value.isdigit():
            return "Content-Length must be a number"
        if len(value) > LONGEST_LENGTH:
            return "Content-Length is too large a number"
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            return "Transfer-Encoding must be chunked"
    return None


def find_request_line_error(line: bytes) -> str | None:
    """Return what is wrong with a request's first line, as it came; None if nothing is."""
    return None if _REQUEST.fullmatch(line) else "the request line is malformed"


def is_chunked(lines: Sequence[bytes]) -> bool:
    """Tell whether a request's body comes in chunks: servers read their sizes more or less strictly (`0x5`, `+5`)."""
    return any((found := _FRAMING.fullmatch(line)) and found[1].lower() == b"transfer-encoding" for line in lines)


class _Lines:
    """What headers are read from; keeps the lines."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.lines: list[bytes] = []

    def readline(self, *limit: int) -> bytes:
        line: bytes = self._source.readline(*limit)
        self.lines.append(line)
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def with_strict_head(handler: type[Any]) -> type[Any]:
    """Return a request handler of `http.server`'s family (eventlet's, Werkzeug's) that answers 400 to such a head.

    What follows a body in chunks is never read as a request: the connection ends.
    """

    class Strict(handler):  # type: ignore[misc] # eventlet has no types
        rfile: Any
        raw_requestline: bytes

        def parse_request(self) -> bool:
            source, kept = self.rfile, _Lines(self.rfile)
            self.rfile = kept
            try:
                good = bool(super().parse_request())
            finally:
                self.rfile = source
            fault = (find_request_line_error(self.raw_requestline) or find_header_error(kept.lines)) if good else None
            if fault is not None or is_chunked(kept.lines):
                self.close_connection = True
            if fault is not None:
                self.wfile.write(REFUSAL % (len(fault), fault.encode()))
                self.wfile.flush()
            return good and fault is None

    return Strict


def with_strict_head_in_gevent(handler: type[Any]) -> type[Any]:
    """Return gevent's request handler with the same care; the server answers 400 to a ValueError."""

    class Strict(handler):  # type: ignore[misc] # the library has no types
        rfile: Any

        def read_request(self, raw_requestline: str) -> Any:
            source, kept = self.rfile, _Lines(self.rfile)
            self.rfile = kept
            try:
                result = super().read_request(raw_requestline)
            except HTTPException as problem:
                # Too many lines, or too long ones, for which the library would write a traceback.
                raise ValueError(str(problem)) from None
            finally:
                self.rfile = source
            fault = find_request_line_error(raw_requestline.encode("latin-1")) or find_header_error(kept.lines)
            if fault is not None:
                raise ValueError(fault)
            if is_chunked(kept.lines):
                self.close_connection = True
            return result

    return Strict
