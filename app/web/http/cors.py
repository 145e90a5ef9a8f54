"""Whose pages may ask: one rule for the REST API, the pages and Socket.IO, over every transport. Before the road.

A browser tells in `Origin` which page makes a request that may change something, and names it on every websocket.
Programs send none; they carry no cookie that was not given to them, so nothing is theirs by being sent.

Where anybody on this machine is let in, pages of its other servers are too: a front end's development server, say.
"""

from __future__ import annotations

import re
from typing import Any

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.config.http import list_words
from swallowtail.app.core.config.settings import Settings

_ASKING_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})
_SOCKETS = "/socket.io"
#: An origin, read more strictly than any URL parser does: its host.
_PLAIN = re.compile(r"https?://(localhost|[0-9]+(?:\.[0-9]+){3}|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class AllowedOrigins:
    """The origins that may call across sites, besides our own."""

    def __init__(self, settings: Settings) -> None:
        #: Whether pages of every loopback origin may; none has to be listed for that.
        self.is_open = settings.is_open
        #: As browsers write them.
        self.listed = frozenset(list_words(settings.cors_origins))

    def may_read(self, origin: str) -> bool:
        """Tell whether pages of a foreign origin may read answers."""
        return origin in self.listed or "*" in self.listed or (self.is_open and is_here(origin))

    def admits(self, origin: str | None, environ: dict[str, Any]) -> bool:
        """Tell whether a request with this `Origin` may do something here."""
        return not origin or is_own(origin, environ) or self.may_read(origin)

    def refuses(self, environ: dict[str, Any]) -> bool:
        """Tell whether a request comes from a foreign page and could do something."""
        if environ["REQUEST_METHOD"] in _ASKING_ONLY and not environ.get("PATH_INFO", "").startswith(_SOCKETS):
            return False
        return not self.admits(environ.get("HTTP_ORIGIN"), environ)


def is_here(origin: str) -> bool:
    """Tell whether an origin is a server on this machine, by a name that nobody else can make point here."""
    found = _PLAIN.fullmatch(origin.lower())
    return found is not None and is_loopback(found[1].strip("[]"))


def is_own(origin: str, environ: dict[str, Any]) -> bool:
    """Tell whether an origin is the one that the request went to."""
    return origin.lower() == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}".lower()
