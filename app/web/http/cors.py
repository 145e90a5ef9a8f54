"""Decides which origins may use this server: the one origin check for REST, pages and Socket.IO, on every transport.

A browser names the origin of the page in `Origin` on each request that may change something, and on each websocket.
Programs send no `Origin`; they send a cookie only when their author put it there.

Where sign-in is not required, the pages of all loopback origins are allowed, such as a frontend's development server.
"""

from __future__ import annotations

import re
from typing import Any

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.config.http import list_words
from swallowtail.app.core.config.settings import Settings

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SOCKETS = "/socket.io"
#: The host of an origin, parsed more strictly than by any URL parser.
_LOCAL_ORIGIN = re.compile(r"https?://(localhost|[0-9]+(?:\.[0-9]+){3}|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class AllowedOrigins:
    """The origins that may send cross-origin requests, besides our own."""

    def __init__(self, settings: Settings) -> None:
        #: Whether all loopback origins are allowed without being listed.
        self.is_open = settings.is_open
        #: Spelled as browsers send them.
        self.listed = frozenset(list_words(settings.cors_origins))

    def may_read(self, origin: str) -> bool:
        """Return whether pages of another origin may read responses."""
        return origin in self.listed or "*" in self.listed or (self.is_open and is_loopback_origin(origin))

    def allows(self, origin: str | None, environ: dict[str, Any]) -> bool:
        """Return whether a request with this `Origin` may change something."""
        return not origin or is_same_origin(origin, environ) or self.may_read(origin)

    def rejects(self, environ: dict[str, Any]) -> bool:
        """Return whether a request comes from a page that is not allowed, and could change something."""
        if environ["REQUEST_METHOD"] in _SAFE_METHODS and not environ.get("PATH_INFO", "").startswith(_SOCKETS):
            return False
        return not self.allows(environ.get("HTTP_ORIGIN"), environ)


def is_loopback_origin(origin: str) -> bool:
    """Return whether an origin is a server on this machine, by a name that cannot be pointed to another machine."""
    match = _LOCAL_ORIGIN.fullmatch(origin.lower())
    return match is not None and is_loopback(match[1].strip("[]"))


def is_same_origin(origin: str, environ: dict[str, Any]) -> bool:
    """Return whether an origin is the one that the request was sent to."""
    return origin.lower() == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}".lower()
