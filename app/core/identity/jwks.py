"""Reads the public keys of an identity provider from its JWKS address, and caches them.

Unknown keys and an absent provider cause at most one request every `jwks_refresh` seconds: every caller can name a key
that does not exist. The clients of PyJWT and Authlib would send a request for every token, and drop the keys.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import orjson
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key
from joserfc.util import urlsafe_b64decode

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unavailable

log = structlog.get_logger(__name__)

#: Algorithms of a provider's tokens. A key is for exactly one of them.
ALGORITHMS = ("RS256", "ES256")
#: The members of a public key, by its type; the algorithm of a key that names none.
_MEMBERS = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
_DEFAULTS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256"}
#: Fewest bits of an RSA key.
_FEWEST_BITS = 2048
#: Headers that refuse compressed responses: a few bytes may expand to any number.
PLAIN = {"Accept": "application/json", "Accept-Encoding": "identity"}
#: Most keys of a set that are read.
_MOST_KEYS = 100


class ProviderKeys:
    """The current keys of one provider. Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`clock` counts seconds; `transport` sends the requests, over the network by default."""
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[Key, str]] = {}
        self._fetched_at: float | None = None
        self._requested_at: float | None = None

    def find(self, kid: str, algorithm: str) -> Key | None:
        """Return the key of an id for an algorithm, None without one. Raises Unavailable if the keys are outdated."""
        if self._age() > self._settings.jwks_ttl or kid not in self._keys:
            # A caller with a cached key does not wait for the request of another thread.
            self._refresh(wait=kid not in self._keys)
        if self._age() > self._settings.jwks_ttl + self._settings.jwks_stale:
            raise Unavailable("the keys of the identity provider cannot be read")
        key, its_algorithm = self._keys.get(kid, (None, None))
        return key if its_algorithm == algorithm else None

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _refresh(self, *, wait: bool) -> None:
        if not self._lock.acquire(blocking=wait):
            return
        try:
            # A thread that waited uses the response to the other thread's request.
            if self._requested_at is None or self._clock() - self._requested_at >= self._settings.jwks_refresh:
                self._requested_at = self._clock()
                self._keys = _parse(self._fetch())
                self._fetched_at = self._clock()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as fault:
            log.warning("provider_keys_not_read", reason=f"{type(fault).__name__}: {fault}"[:200])
        finally:
            self._lock.release()

    def _fetch(self) -> bytes:
        settings = self._settings
        until = time.monotonic() + settings.jwks_timeout
        with (
            httpx2.Client(timeout=settings.jwks_timeout, transport=self._transport, follow_redirects=False) as client,
            client.stream("GET", settings.jwks_url, headers=PLAIN) as response,
        ):
            if response.status_code != 200:
                raise ValueError(f"status {response.status_code}")
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError("compressed although the request refuses it")
            body = b""
            for part in response.iter_bytes():
                body += part
                if len(body) > settings.jwks_max_bytes:
                    raise ValueError(f"more than {settings.jwks_max_bytes} bytes")
                if time.monotonic() > until:
                    raise ValueError(f"not complete after {settings.jwks_timeout:g} s")
        return body


def _parse(body: bytes) -> dict[str, tuple[Key, str]]:
    document: Any = orjson.loads(body)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a set of keys")
    signing = [key for key in document["keys"][:_MOST_KEYS] if isinstance(key, dict) and _is_for_signing(key)]
    keys = {key["kid"]: read for key in signing if (read := _read_key(key)) is not None}
    if not keys:
        raise ValueError("no key in it can be used")
    return keys


def _read_key(key: dict[str, Any]) -> tuple[Key, str] | None:
    """Return a key and its algorithm; None for a key that cannot be used, so that the other keys still work."""
    try:
        algorithm = key.get("alg", _DEFAULTS.get((key["kty"], key.get("crv"))))
        # A published private key is no secret any more.
        if algorithm not in ALGORITHMS or "d" in key:
            return None
        if key["kty"] == "RSA" and _count_bits(key["n"]) < _FEWEST_BITS:
            return None
        return import_key({name: key[name] for name in _MEMBERS[key["kty"]]}), algorithm
    except (JoseError, ValueError, TypeError, KeyError, NotImplementedError, AttributeError, OverflowError):
        return None


def _count_bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(number.encode()), "big").bit_length()


def _is_for_signing(key: dict[str, Any]) -> bool:
    operations = key.get("key_ops")
    may_verify = operations is None or (isinstance(operations, list) and "verify" in operations)
    right_use = key.get("use", "sig") == "sig" and may_verify
    return right_use and key.get("kty") in ("RSA", "EC") and isinstance(key.get("kid"), str)
