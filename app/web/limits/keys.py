"""Derives the keys that rate limits and quotas count under."""

from __future__ import annotations

import hashlib
import ipaddress
from functools import lru_cache

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.security.actors import Actor


def key_of(actor: Actor) -> str:
    """Return the key of an authenticated caller; empty for any other."""
    return "" if actor.kind in ("system", "open", "nobody") else actor.token_id or actor.user_id or actor.id


def user_of(actor: Actor) -> str:
    """Return the key for connections: a user with all their tokens, or one API token."""
    return actor.user_id or actor.id if actor.kind == "user" else key_of(actor)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return the key of an address: an IPv4 address, or the /64 network that one customer of IPv6 has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address or "unknown"
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((parsed, 64), strict=False))


#: Returns whether an address is a loopback address.
is_local = lru_cache(maxsize=4096)(is_loopback)


def hash_of(name: str) -> str:
    """Return the key of a user name. Names are of any length, and readers of Redis must not learn them."""
    return hashlib.sha256(name.strip().lower().encode(errors="replace")).hexdigest()[:32]
