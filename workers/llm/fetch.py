"""Fetches one document from the web for an agent, without giving access to the internal network.

Users choose the URL. So every address is checked, at each redirect again, and the connection goes to the address that
was checked (a second name lookup could return another one); no proxy or cookie of this machine is used.
"""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.workers.llm.connect import Deadline, FetchError, connect
from swallowtail.workers.run.outcomes import PermanentError

MAX_REDIRECTS = 5
MAX_URL = 2000
#: Longest `Content-Type` that is parsed, in characters: parsing takes quadratic time.
MAX_TYPE = 1000
#: Bytes that are read at once.
PIECE = 65_536
HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: Media types of documents; the content decides the format. The last one is for files of unknown type.
_DOCUMENTS = """
text/plain text/html application/xhtml+xml text/markdown text/x-markdown text/x-rst text/prs.fallenstein.rst
application/pdf application/vnd.openxmlformats-officedocument.wordprocessingml.document application/octet-stream
"""
DOCUMENTS = frozenset(_DOCUMENTS.split())


@dataclass(frozen=True, slots=True)
class FetchedDocument:
    """A document as received; `url` is its address after redirects, `charset` the one that the server declares."""

    url: str
    content_type: str
    charset: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def fetch_document(url: str, settings: Settings | None = None) -> FetchedDocument:
    """Fetch a document. Raises PermanentError, or FetchError if another try may succeed."""
    settings = settings or load_settings()
    deadline = Deadline(settings.fetch_timeout)
    target = ""
    for _ in range(MAX_REDIRECTS + 1):
        url, parts = _checked(url, target)
        answer = _get(parts, settings, deadline)
        if answer.status not in REDIRECTS:
            return FetchedDocument(url, _media_type(answer.headers), _charset(answer.headers), answer.body)
        target = answer.headers.get("Location", "")
    raise PermanentError(f"more than {MAX_REDIRECTS} redirects", code="fetch_refused")


def _checked(base: str, target: str) -> tuple[str, SplitResult]:
    """Return the URL of the link `target` on the page `base`, and its parts. Raises PermanentError if unusable."""
    if len(base) > MAX_URL or len(target) > MAX_URL:
        raise PermanentError(f"a URL of more than {MAX_URL} characters is refused", code="fetch_refused")
    try:
        url = urljoin(base, target)
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").encode("idna").decode("ascii")
    except ValueError as problem:  # UnicodeError is one of them
        raise PermanentError(f"not a usable URL: {problem}", code="fetch_refused") from None
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(host):
        raise PermanentError(f"only http and https URLs can be read, not {url[:100]!r}", code="fetch_refused")
    if parts.username is not None or port == 0 or len(url) > MAX_URL:
        raise PermanentError("a URL with a user name, with port 0 or over-long is refused", code="fetch_refused")
    return url, parts


def _get(url: SplitResult, settings: Settings, deadline: Deadline) -> _Answer:
    """Send one request; the body is empty for a redirect."""
    with _connection(url, settings, deadline) as connection:
        connection.putrequest("GET", _target(url), skip_accept_encoding=True)
        connection.putheader("Accept", "text/markdown, text/html, text/plain;q=0.9, */*;q=0.5")
        connection.putheader("Accept-Encoding", "identity")
        connection.putheader("User-Agent", "swallowtail")
        connection.endheaders()
        with closing(connection.getresponse()) as response:
            if response.status in REDIRECTS:
                return _Answer(response.status, response.headers, b"")
            _check_head(response)
            return _Answer(response.status, response.headers, _body(response, settings.fetch_max_bytes, deadline))


@contextmanager
def _connection(url: SplitResult, settings: Settings, deadline: Deadline) -> Iterator[http.client.HTTPConnection]:
    """Yield a connection to a checked address that is shut down when the time is up."""
    host, secure = url.hostname or "", url.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, url.port or kind.default_port)
    try:
        with connect(host, connection.port, deadline, allow_private=settings.fetch_allow_private) as raw:
            context = ssl.create_default_context() if secure else None
            connection.sock = context.wrap_socket(raw, server_hostname=host) if context else raw
            yield connection
    except ssl.SSLCertVerificationError as problem:
        text = f"the certificate of {host} is not valid: {problem.verify_message}"
        raise PermanentError(text, code="fetch_refused") from None
    except (OSError, http.client.HTTPException) as problem:
        reason = "it took too long" if deadline.passed else str(problem) or type(problem).__name__
        raise FetchError(f"fetching from {host} failed: {reason}") from None
    finally:
        connection.close()


def _target(url: SplitResult) -> str:
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return quote(target, safe="/?%:@!$&'()*+,;=~-._")


def _check_head(response: http.client.HTTPResponse) -> None:
    if len(response.headers.get("Content-Type", "")) > MAX_TYPE:
        raise PermanentError(f"the Content-Type has more than {MAX_TYPE} characters", code="fetch_refused")
    if response.status >= 500 or response.status in (408, 425, 429):
        raise FetchError(f"the server answered {response.status}")
    if response.status != 200:
        raise PermanentError(f"the server answered {response.status} {response.reason}", code="fetch_failed")
    kind = _media_type(response.headers)
    if kind not in DOCUMENTS:
        raise PermanentError(f"a document of type {kind} cannot be read as text", code="fetch_refused")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":  # a compressed body could unpack to any size
        raise PermanentError(f"the server sent {encoding!r} although it was not requested", code="fetch_refused")


def _body(response: http.client.HTTPResponse, limit: int, deadline: Deadline) -> bytes:
    if (response.length or 0) > limit:
        raise PermanentError(f"the document is larger than {limit} bytes", code="fetch_too_large")
    body = bytearray()
    # In pieces: a chunk with a negative size would be read without end.
    while len(body) <= limit and (piece := response.read1(PIECE)):
        body += piece
    if len(body) > limit:
        raise PermanentError(f"the document is larger than {limit} bytes", code="fetch_too_large")
    if deadline.passed or response.length:  # shut down by us, or fewer bytes than announced
        raise FetchError("it took too long" if deadline.passed else "the connection broke off")
    return bytes(body)


def _media_type(headers: http.client.HTTPMessage) -> str:
    return headers.get_content_type() if "Content-Type" in headers else "text/plain"


def _charset(headers: http.client.HTTPMessage) -> str | None:
    """Return the declared character set without looking up a codec; `charsets` knows the valid ones."""
    declared = headers.get_param("charset")
    return declared.strip("'\"").lower() if isinstance(declared, str) else None
