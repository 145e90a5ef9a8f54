"""A request head that two programs could parse differently is refused (request smuggling)."""

from __future__ import annotations

from http.client import HTTPException

import pytest

from swallowtail.app.web.accept.head_check import (
    find_header_error,
    find_request_line_error,
    is_chunked,
    with_strict_head_in_gevent,
)

GOOD = [
    [],
    [b"Host: a\r\n"],
    [b"Host: a\r\n", b"Content-Length: 0\r\n", b"\r\n"],
    [b"Host:a\n", b"X-Empty:\r\n", b"X-Tab:\tb\r\n", "X-Latin: \u00e9\r\n".encode("latin-1")],
    [b"transfer-encoding: Chunked\r\n"],
]
BAD = {
    "no colon": [b"nonsense\r\n"],
    "no name": [b": a\r\n"],
    "a blank before the colon": [b"Content-Length : 5\r\n"],
    "a blank in front": [b" Content-Length: 5\r\n"],
    "folded": [b"X-A: 1\r\n", b"\tContent-Length: 5\r\n"],
    "a carriage return within": [b"X-A: 1\rContent-Length: 5\r\n"],
    "a form feed in the name": [b"X\x0cA: 1\r\n"],
    "a zero": [b"X-A: 1\0\r\n"],
    "a zero in the name": [b"Content-Length\0: 5\r\n"],
    "not ended": [b"X-A: 1"],
    "two lengths": [b"Content-Length: 5\r\n", b"Content-Length: 6\r\n"],
    "the same length twice": [b"Content-Length: 5\r\n", b"content-length: 5\r\n"],
    "lengths in one line": [b"Content-Length: 5, 6\r\n"],
    "a sign": [b"Content-Length: +5\r\n"],
    "negative": [b"Content-Length: -5\r\n"],
    "an underscore": [b"Content-Length: 1_0\r\n"],
    "hexadecimal": [b"Content-Length: 0x5\r\n"],
    "empty": [b"Content-Length: \r\n"],
    "more digits than a number has": [b"Content-Length: " + b"9" * 5000 + b"\r\n"],
    "more digits than a size has": [b"Content-Length: " + b"0" * 18 + b"5\r\n"],
    "a length and chunks": [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"],
    "chunks twice": [b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\n"],
    "another coding": [b"Transfer-Encoding: gzip, chunked\r\n"],
    "identity": [b"Transfer-Encoding: identity\r\n"],
    "a vertical tab around": [b"Transfer-Encoding:\x0bchunked\r\n"],
}


@pytest.mark.parametrize("lines", GOOD)
def test_a_plain_head_is_read(lines: list[bytes]) -> None:
    assert find_header_error(lines) is None


@pytest.mark.parametrize("lines", list(BAD.values()), ids=list(BAD))
def test_an_ambiguous_head_is_refused_wherever_the_line_stands(lines: list[bytes]) -> None:
    for around in (lines, [b"Host: a\r\n", *lines], [*lines, b"X-Last: b\r\n", b"\r\n"]):
        assert find_header_error(around) is not None


@pytest.mark.parametrize("line", ["GET / HTTP/1.1\r\n", "OPTIONS * HTTP/1.0\n", "M-SEARCH /\u00e9?a=b%20 HTTP/1.1\r\n"])
def test_a_plain_request_line_is_read(line: str) -> None:
    assert find_request_line_error(line.encode("latin-1")) is None


@pytest.mark.parametrize("blank", ["  ", "\t", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\r", "\0"])
def test_a_request_line_has_single_blanks_and_no_other_white_space(blank: str) -> None:
    for line in (f"GET{blank}/ HTTP/1.1\r\n", f"GET /{blank}HTTP/1.1\r\n"):
        assert find_request_line_error(line.encode("latin-1")) is not None
    if blank not in ("\x85", "\xa0"):  # a target may have any byte beyond ASCII
        assert find_request_line_error(f"GET /a{blank}b HTTP/1.1\r\n".encode("latin-1")) is not None
        assert find_request_line_error(f"GET / HTTP/1.1{blank}\r\n".encode("latin-1")) is not None


@pytest.mark.parametrize(
    "line", [b"GET /\r\n", b"GET / HTTP/2.0\r\n", b"GET / http/1.1\r\n", b"G@T / HTTP/1.1\r\n", b""]
)
def test_another_protocol_is_not_read(line: bytes) -> None:
    assert find_request_line_error(line) is not None


def test_a_chunked_body_is_recognized_however_it_is_spelt() -> None:
    for line in (
        b"Transfer-Encoding: chunked\r\n",
        b"TRANSFER-ENCODING:chunked\n",
        b"transfer-encoding:\tChunked \r\n",
    ):
        assert is_chunked([b"Host: a\r\n", line])
    assert not is_chunked([b"Host: a\r\n", b"Content-Length: 5\r\n", b"X-Transfer-Encoding: chunked\r\n"])


def test_a_head_that_is_too_long_for_the_library_is_a_bad_request_under_gevent_too() -> None:
    class Handler:
        rfile = None

        def read_request(self, _: str) -> bool:
            raise HTTPException("got more than 100 headers")

    with pytest.raises(ValueError, match="more than 100 headers"):
        with_strict_head_in_gevent(Handler)().read_request("GET / HTTP/1.1\r\n")
