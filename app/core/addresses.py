"""Addresses in settings, checked before anything is reached at them. Off the road, for `core/settings`.

Each function raises ValueError in words that fit after the name of a setting.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.%a-z]+\]")
_USUAL = {"http": "80", "https": "443"}


def check_server(url: str, *, several: bool = False) -> str:
    """Return a server's URL whose host and port can be used. `several`: hosts may be a list with commas.

    A user and a password are not looked at; no message repeats them.
    """
    place = urlsplit(url).netloc.rpartition("@")[2]
    if not several and "," in place:
        raise ValueError("must name one host; clusters and lists of hosts are not supported")
    for one in place.split(",") if several else [place]:
        _check_place(one)
    return url


def plain_origin(text: str) -> str:
    """Return an origin as browsers write it: small letters, no slash at the end, no port that is usual."""
    if text in ("*", "null"):
        return text
    parts = urlsplit(text.lower())
    if parts.scheme not in _USUAL or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{text[:100]!r} is no origin: give it as https://app.example.org, with a port if it has one")
    try:
        _check_place(parts.netloc)
    except ValueError as fault:
        raise ValueError(f"{text[:100]!r} is no origin: {fault}") from None
    if not parts.hostname:
        raise ValueError(f"{text[:100]!r} is no origin: it names no host")
    return f"{parts.scheme}://{parts.netloc.removesuffix(':' + _USUAL[parts.scheme])}"


def _check_place(place: str) -> None:
    """Check `host`, `host:port` or `[v6]:port`. An empty host is the library's default."""
    host, colon, port = place.rpartition(":") if re.search(r":[^\]]*$", place) else (place, "", "")
    if host and not _HOST.fullmatch(host):
        raise ValueError(f"{host[:100]!r} is no host name")
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{port[:20]!r} is no port: give a number from 1 to 65535")
