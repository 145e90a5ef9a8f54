"""Finds the client's own address and scheme behind proxies.

Any client can send `X-Forwarded-…` headers. They count only if a trusted proxy added to them, and are removed in any
case, so that no later code reads them. On an open server they show that a request did not come directly.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Any

from werkzeug.http import parse_list_header
from werkzeug.middleware.proxy_fix import ProxyFix

from swallowtail.app.core.config.http import list_words

#: Schemes that proxies report; some report a websocket's.
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
#: Headers that proxies, tunnels, load balancers and content delivery networks add to requests.
_NAMES = (
    "FORWARDED FORWARDED_FOR X_FORWARD_FOR X_ORIGINAL_FORWARDED_FOR VIA X_VIA X_REAL_IP X_REAL_HOST "
    "X_CLIENT_IP CLIENT_IP X_CLUSTER_CLIENT_IP TRUE_CLIENT_IP X_REMOTE_IP X_REMOTE_ADDR X_ORIGINATING_IP "
    "X_PROXYUSER_IP X_SCHEME X_ORIGINAL_FOR X_ORIGINAL_HOST X_ORIGINAL_PROTO X_ORIGINAL_URL X_REWRITE_URL "
    "FRONT_END_HTTPS X_ARR_SSL X_ARR_LOG_ID X_URL_SCHEME X_AMZN_TRACE_ID X_AMZ_CF_ID "
    "X_CLOUD_TRACE_CONTEXT X_NF_CLIENT_CONNECTION_IP X_VARNISH MAX_FORWARDS "
)
_TRACES = frozenset(_NAMES.split())
#: Prefixes of header names of some of them.
_BEGINNINGS = "X_FORWARDED CF_ CDN_ FASTLY_ FLY_ X_ENVOY_ X_AZURE_ X_APPENGINE_ X_VERCEL_ X_AKAMAI_ TAILSCALE_ "
_FAMILIES = tuple(_BEGINNINGS.split())
#: Key in the environment: the path prefix that a trusted proxy reports.
PREFIX = "swallowtail.prefix"
_PREFIX = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,100}){1,10}")
#: Key in the environment: the client connected directly, so its accepted socket already counts for its address.
DIRECT = "swallowtail.direct"


class TrustedProxies:
    """The trusted proxies: those with listed addresses, or a number of them with any address."""

    def __init__(self, trusted: str) -> None:
        """`trusted` is `SWALLOWTAIL_TRUSTED_PROXIES`."""
        is_number = trusted.strip().isdecimal()
        self._count = int(trusted) if is_number else 0
        self._networks = [] if is_number else [ip_network(word) for word in list_words(trusted)]

    def may_be(self, peer: str) -> bool:
        """Return whether a connection from this address may be a trusted proxy's, with requests of many clients."""
        return bool(self._count) or self._trusts(peer)

    def apply(self, environ: dict[str, Any]) -> None:
        """Put the client's address and scheme into a WSGI environment, as trusted proxies report them."""
        peer, scheme = environ.get("REMOTE_ADDR", ""), environ["wsgi.url_scheme"]
        hops = self._count or self._count_hops(peer, environ)
        if hops:
            prefix = environ.get("HTTP_X_FORWARDED_PREFIX", "").rstrip("/")
            if _PREFIX.fullmatch(prefix):
                environ[PREFIX] = prefix
            ProxyFix(lambda *_: [], x_for=hops, x_proto=1)(environ, lambda *_: lambda data: None)
            environ["REMOTE_ADDR"] = _read_address(environ["REMOTE_ADDR"]) or peer
            environ["wsgi.url_scheme"] = _SCHEMES.get(environ["wsgi.url_scheme"].lower(), scheme)
        elif not self.may_be(peer):
            environ[DIRECT] = True
        for name in [name for name in environ if name.startswith("HTTP_X_FORWARDED_") or name == "HTTP_FORWARDED"]:
            del environ[name]

    def _count_hops(self, peer: str, environ: dict[str, Any]) -> int:
        """Return how many addresses at the end of the chain are trustworthy: each trusted proxy added one."""
        if not self._trusts(peer):
            return 0
        chain = parse_list_header(environ.get("HTTP_X_FORWARDED_FOR", ""))
        hops = 1
        while hops < len(chain) and self._trusts(chain[-hops]):
            hops += 1
        return hops

    def _trusts(self, text: str) -> bool:
        address = _read_address(text)
        return address is not None and any(ip_address(address) in network for network in self._networks)


def find_proxy_trace(environ: dict[str, Any]) -> str | None:
    """Return what shows that a request does not come directly from this machine: a header, or its address.

    Call it before `TrustedProxies.apply`.
    """
    for name in environ:
        bare = name.removeprefix("HTTP_")
        if name.startswith("HTTP_") and (bare in _TRACES or bare.startswith(_FAMILIES)):
            return bare.replace("_", "-").title()
    address = _read_address(environ.get("REMOTE_ADDR") or "")
    return None if address is not None and ip_address(address).is_loopback else "a remote address"


def _read_address(text: str) -> str | None:
    """Return the address in `text`, without the port that some proxies add; None if there is none."""
    bare = text.strip()
    for candidate in (bare, bare.rpartition(":")[0].strip("[]")):
        try:
            address = ip_address(candidate)
        except ValueError:
            continue
        mapped = getattr(address, "ipv4_mapped", None)
        return str(mapped or address)
    return None
