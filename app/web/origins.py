"""Whose pages may ask: one rule for the REST API, the pages and Socket.IO, over every transport. Before the road.

A browser tells in `Origin` which page makes a request that may change something, and names it on every websocket.
Programs send none; they carry no cookie that was not given to them, so nothing is theirs by being sent.
"""

from __future__ import annotations

from typing import Any

from app.core.settings import Settings
from app.core.settings_entrance import list_words

_ASKING_ONLY = frozenset({"GET", "HEAD", "OPTIONS"})
_SOCKETS = "/socket.io"


class Origins:
    """The origins that may call across sites, besides our own."""

    def __init__(self, settings: Settings) -> None:
        self.listed = frozenset(origin.rstrip("/") for origin in list_words(settings.cors_origins))

    def may_read(self, origin: str) -> bool:
        """Tell whether pages of a foreign origin may read answers."""
        return origin in self.listed or "*" in self.listed

    def admits(self, origin: str | None, environ: dict[str, Any]) -> bool:
        """Tell whether a request with this `Origin` may do something here."""
        return not origin or is_own(origin, environ) or self.may_read(origin)

    def refuses(self, environ: dict[str, Any]) -> bool:
        """Tell whether a request comes from a foreign page and could do something."""
        if environ["REQUEST_METHOD"] in _ASKING_ONLY and not environ.get("PATH_INFO", "").startswith(_SOCKETS):
            return False
        return not self.admits(environ.get("HTTP_ORIGIN"), environ)


def is_own(origin: str, environ: dict[str, Any]) -> bool:
    """Tell whether an origin is the one that the request went to."""
    return origin.lower() == f"{environ['wsgi.url_scheme']}://{environ.get('HTTP_HOST', '')}".lower()
