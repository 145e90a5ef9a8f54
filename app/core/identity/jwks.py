"""The keys of an identity provider: fetched from its JWKS address, kept for a while, looked up again after a rotation.

Off the road, below `core/identity/authenticate`. Anybody can name a key that is not there, so that unknown keys and a provider that is
away lead to one question every `jwks_refresh` seconds and no more. PyJWT parses the keys; its own client would ask an
absent provider at every token, and forget the keys it has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2
import orjson
import structlog
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unavailable

log = structlog.get_logger(__name__)

#: What a provider's token may be signed with: a key of the set is for exactly one of them.
ALGORITHMS = ("RS256", "ES256")
#: Asked for as it is: a few packed bytes may unpack to any number.
PLAIN = {"Accept": "application/json", "Accept-Encoding": "identity"}
#: Keys of a set that are looked at; nobody has more.
_MOST_KEYS = 100


class ProviderKeys:
    """The present keys of one provider. Safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`clock` counts seconds; `transport` is how requests are sent, the network by default."""
        self._settings = settings
        self._clock = clock
        self._transport = transport
        self._lock = threading.Lock()
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at: float | None = None
        self._asked_at: float | None = None

    def find(self, kid: str, algorithm: str) -> PyJWK | None:
        """Return the key of this id for this algorithm; None when the provider has none.

        Raises:
            Unavailable: the provider is away and no keys are left that may still be used.
        """
        if self._age() > self._settings.jwks_ttl or kid not in self._keys:
            # With a key at hand nobody waits for somebody else's question.
            self._look_again(patient=kid not in self._keys)
        if self._age() > self._settings.jwks_ttl + self._settings.jwks_stale:
            raise Unavailable("the keys of the identity provider cannot be read")
        key = self._keys.get(kid)
        return key if key is not None and key.algorithm_name == algorithm else None

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _look_again(self, *, patient: bool) -> None:
        if not self._lock.acquire(blocking=patient):
            return
        try:
            # Whoever waited for somebody else's question has its answer, and comes too early for one of their own.
            if self._asked_at is None or self._clock() - self._asked_at >= self._settings.jwks_refresh:
                self._asked_at = self._clock()
                self._keys = _parse(self._fetch())
                self._fetched_at = self._clock()
        except (httpx2.HTTPError, httpx2.InvalidURL, PyJWTError, ValueError) as fault:
            log.warning("provider_keys_not_read", reason=f"{type(fault).__name__}: {fault}"[:200])
        finally:
            self._lock.release()

    def _fetch(self) -> bytes:
        settings = self._settings
        until = time.monotonic() + settings.jwks_timeout
        with (
            httpx2.Client(timeout=settings.jwks_timeout, transport=self._transport, follow_redirects=False) as client,
            client.stream("GET", settings.jwks_url, headers=PLAIN) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise ValueError("packed, although it was asked not to be: a few bytes may unpack to any number")
            body = b""
            for part in answer.iter_bytes():
                body += part
                if len(body) > settings.jwks_max_bytes:
                    raise ValueError(f"more than {settings.jwks_max_bytes} bytes")
                if time.monotonic() > until:
                    raise ValueError(f"not complete after {settings.jwks_timeout:g} s")
        return body


def _parse(body: bytes) -> dict[str, PyJWK]:
    found: Any = orjson.loads(body)
    if not isinstance(found, dict) or not isinstance(found.get("keys"), list):
        raise ValueError("not a set of keys")
    usable = [key for key in found["keys"][:_MOST_KEYS] if isinstance(key, dict) and _is_for_signing(key)]
    keys = [key for one in usable if (key := _read_key(one)) is not None]
    if not keys:
        raise ValueError("no key in it can be used")
    return {key.key_id: key for key in keys if key.key_id and key.algorithm_name in ALGORITHMS}


def _read_key(key: dict[str, Any]) -> PyJWK | None:
    """Return a key; None for one that is odd in whatever way: the others are still good."""
    try:
        return PyJWK(key)
    except (PyJWTError, ValueError, TypeError, NotImplementedError, AttributeError, OverflowError):
        return None


def _is_for_signing(key: dict[str, Any]) -> bool:
    # A symmetric key in public would be everybody's.
    operations = key.get("key_ops")
    may_verify = operations is None or (isinstance(operations, list) and "verify" in operations)
    right_use = key.get("use", "sig") == "sig" and may_verify
    return right_use and key.get("kty") in ("RSA", "EC") and isinstance(key.get("kid"), str)
