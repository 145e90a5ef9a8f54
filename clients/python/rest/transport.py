"""Sends requests by httpx2, and reports every failure to reach the server as one kind of error."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from .flows import RequestLost, Send

#: True and False, the path of a file with certificates of authorities, or a context.
Verify = bool | str | ssl.SSLContext

#: The failures before anything of a request was sent.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


def client_options(url: str, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """Return the options of the HTTP client, for `httpx2.Client` and `httpx2.AsyncClient`."""
    # Without TLS, the library need not read the certificates of all authorities.
    verify = False if tls is None else tls
    return {
        "base_url": url,
        "verify": verify,
        "headers": {"Accept": "application/json", "User-Agent": "swallowtail-client"},
    }


def make_context(url: str, verify: Verify) -> ssl.SSLContext | None:
    """Return the TLS context for a server; None for an address without TLS."""
    if not url.startswith("https:"):
        return None
    if isinstance(verify, str):
        return ssl.create_default_context(cafile=verify)
    return httpx2.create_ssl_context(verify=verify)


def request_options(command: Send) -> dict[str, Any]:
    """Return the arguments of `request` for a command."""
    call = command.call
    options: dict[str, Any] = {"method": call.method, "url": call.path, "headers": command.headers}
    options |= {"timeout": command.timeout, "params": call.params or None}
    return options if call.json is None else options | {"json": call.json}


@contextmanager
def lost_requests(url: str) -> Iterator[None]:
    """Raise RequestLost for a failure of httpx2."""
    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL) as fault:
        message = f"no answer from {url}: {str(fault) or type(fault).__name__}"
        raise RequestLost(
            message,
            was_sent=not isinstance(fault, _NOT_SENT),
            is_lasting=isinstance(fault, httpx2.UnsupportedProtocol) or _is_certificate_error(fault),
        ) from fault


def _is_certificate_error(fault: BaseException | None) -> bool:
    while fault is not None:
        if isinstance(fault, ssl.SSLError):
            return True
        fault = fault.__cause__ or fault.__context__
    return False
