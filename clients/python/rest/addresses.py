"""The server's address: checked, and without what does not belong into it."""

from __future__ import annotations

from urllib.parse import urlsplit


def check_url(url: str) -> str:
    """Return the URL without a slash at its end. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{_without_password(url)!r} is not the URL of a server, such as http://localhost:8000")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL holds a user or a password; pass a token instead")
    if parts.query or parts.fragment:
        raise ValueError(f"{url!r} has a query or a fragment; the URL of a server has none")
    return url.rstrip("/")


def _without_password(url: str) -> str:
    return url.rpartition("@")[2]
