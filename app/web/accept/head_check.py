"""Rejects requests whose head can be parsed in two ways, under every WSGI server.

The standard library's parser stops at a header line that it cannot parse and ignores a `Content-Length` below it; the
body would be parsed as the next request. When proxy and server disagree about a head, one caller can write another's
request (request smuggling; RFC 9112, sections 5 and 6.3). So every line is checked as it arrived.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any

#: A request line by RFC 9112: single blanks, no other white space, and a version of HTTP/1.
_REQUEST = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+ [^\0-\x20\x7f]+ HTTP/1\.[0-9]\r?\n?")
#: One header line: a name without blanks, and a value without line ends of any kind or zeros. Folding is forbidden.
_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*\r?\n")
_FRAMING = re.compile(rb"(content-length|transfer-encoding)[ \t]*:[ \t]*(.*?)[ \t]*\r?\n", re.IGNORECASE)
_END = (b"\r\n", b"\n", b"")
#: Most digits of a Content-Length; Python refuses to parse numbers with thousands of them.
MAX_LENGTH_DIGITS = 18

REFUSAL = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"


def find_header_error(lines: Sequence[bytes]) -> str | None:
    """Return what is wrong with the raw header lines of a request; None if nothing is."""
    framing: list[tuple[bytes, bytes]] = []
    for line in lines:
        if line in _END:
            continue
        if not _LINE.fullmatch(line):
            return "a header line is malformed"
        if match := _FRAMING.fullmatch(line):
            framing.append((match[1].lower(), match[2]))
    if len(framing) > 1:
        return "the request has more than one Content-Length or Transfer-Encoding"
    for name, value in framing:
        if name == b"content-length" and not value.isdigit():
            return "Content-Length must be a number"
        if len(value) > MAX_LENGTH_DIGITS:
            return "Content-Length is too large"
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            return "Transfer-Encoding must be chunked"
    return None


def find_request_line_error(line: bytes) -> str | None:
    """Return what is wrong with a raw request line; None if nothing is."""
    return None if _REQUEST.fullmatch(line) else "the request line is malformed"


def is_chunked(lines: Sequence[bytes]) -> bool:
    """Return whether the body is chunked. Servers differ in how strictly they parse chunk sizes (`0x5`, `+5`)."""
    return any((match := _FRAMING.fullmatch(line)) and match[1].lower() == b"transfer-encoding" for line in lines)


class RecordedLines:
    """The byte source of a handler; records each line that is read."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self.lines: list[bytes] = []

    def readline(self, *limit: int) -> bytes:
        """Read a line."""
        line: bytes = self._source.readline(*limit)
        self.lines.append(line)
        return line

    def find_error(self, request_line: bytes) -> str | None:
        """Return what is wrong with a request line and the recorded lines; None if nothing is."""
        return find_request_line_error(request_line) or find_header_error(self.lines)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def with_strict_head_in_gevent(handler: type[Any]) -> type[Any]:
    """Return gevent's handler with these checks; the server responds 400 to a ValueError."""

    class Strict(handler):  # type: ignore[misc] # the library has no types
        rfile: Any

        def read_request(self, raw_requestline: str) -> Any:
            source, recorded = self.rfile, RecordedLines(self.rfile)
            self.rfile = recorded
            try:
                result = super().read_request(raw_requestline)
            except HTTPException as problem:
                # Too many lines, or too long ones, for which the library would print a traceback.
                raise ValueError(str(problem)) from None
            finally:
                self.rfile = source
            error = recorded.find_error(raw_requestline.encode("latin-1"))
            if error is not None:
                raise ValueError(error)
            if is_chunked(recorded.lines):
                self.close_connection = True
            return result

    return Strict
