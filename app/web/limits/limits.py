"""Holds all rate limits and connection quotas of one web process, and checks them for requests and connections.

All web processes count together. HTTP requests and login attempts ask Redis first (`shared_rate`). Connects and
messages are decided by this process and reported to Redis later (`deferred_rate`), because the event loop must not
block. The number of connections of a user is looked up while the new connection waits (`connection_quota`).
Every refusal names the number of seconds after which to try again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable

from prometheus_client import Counter

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import WHEN_FULL, TooFast, TooMany
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.web.http.trusted_proxies import TrustedProxies
from swallowtail.app.web.limits.connection_quota import ConnectionQuota
from swallowtail.app.web.limits.deferred_rate import DeferredRate, UseReporter
from swallowtail.app.web.limits.keys import hash_of, is_local, key_of, network_of, user_of
from swallowtail.app.web.limits.shared_rate import RedisCounts, SharedRate

LIMITED = Counter("swallowtail_limited_total", "Requests, connections and messages that a limit refused", ["what"])

#: The response to a connection above its address's quota, sent before its request is read.
TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % WHEN_FULL
)


class Limits:
    """All limits of one web process."""

    def __init__(
        self, settings: Settings, proxies: TrustedProxies, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings = settings
        self.counts = RedisCounts(settings, clock)
        self._reporter = UseReporter(self.counts, settings.limit_settle)
        self._quota = ConnectionQuota(settings)

        def deferred(name: str, rates: str) -> DeferredRate:
            return DeferredRate(name, rates, self._reporter, clock)

        def shared(name: str, rates: str, *, exact: bool = False) -> SharedRate:
            return SharedRate(name, rates, self.counts, exact=exact, clock=clock)

        self._requests = {
            ("address", True): shared("address-read", settings.address_read_limit),
            ("address", False): shared("address-write", settings.address_write_limit),
            ("caller", True): shared("read", settings.read_limit),
            ("caller", False): shared("write", settings.write_limit),
        }
        # Login attempts are few and worth an exact count.
        self._login = shared("login", settings.login_limit, exact=True)
        self._login_name = shared("login-name", settings.login_name_limit, exact=True)
        self._login_address = shared("login-address", settings.login_address_limit, exact=True)
        self._connects = deferred("address-connect", settings.connect_limit)
        self._user_connects = deferred("connect", settings.user_connect_limit)
        #: Messages of all connections of one caller, and of one address.
        self.caller_messages = deferred("message", settings.user_message_limit)
        self.caller_subscriptions = deferred("subscribe", settings.user_subscribe_limit)
        self.address_messages = deferred("address-message", settings.address_message_limit)
        self.address_subscriptions = deferred("address-subscribe", settings.address_subscribe_limit)
        self._proxies = proxies
        #: Open connections by address: accepted sockets, and Socket.IO sessions without a socket of their own.
        self._open: Tally[str] = Tally()
        self._lock = threading.Lock()

    def applies_to(self, address: str) -> bool:
        """Return whether callers from this address have limits at all."""
        if self.settings.limits != "auto":
            return self.settings.limits == "on"
        return not (self.settings.is_open and (not address or is_local(address)))

    def check_request(self, address: str, *, is_read: bool) -> None:
        """Count a request of an address. Raises TooFast."""
        if self.applies_to(address):
            _refuse("request", self._requests["address", is_read].acquire(network_of(address)))

    def check_caller(self, actor: Actor, address: str, *, is_read: bool) -> None:
        """Count a request of an authenticated caller. Raises TooFast."""
        if self.applies_to(address) and (key := key_of(actor)):
            _refuse("request", self._requests["caller", is_read].acquire(key))

    def count_login(self, name: str, address: str) -> None:
        """Count a login attempt before its password is checked; `clear_login` ends a series. Raises TooFast."""
        if not self.applies_to(address):
            return
        source, user = network_of(address), hash_of(name)
        wait = (
            self._login_address.acquire(source)
            or self._login.acquire(f"{user}:{source}")
            or self._login_name.acquire(user)
        )
        _refuse("login", wait, "too many attempts to sign in")

    def clear_login(self, name: str, address: str) -> None:
        """Forget the attempts of a user at an address after a successful login there."""
        self._login.clear(f"{hash_of(name)}:{network_of(address)}")

    def try_connect(self, address: str, *, own: int = 0) -> float:
        """Count a new connection of an address. Returns 0, or after how many seconds to try again.

        `own`: how many sockets `acquire_socket` already counts for it. Never blocks.
        """
        if not self.applies_to(address):
            return 0.0
        source = network_of(address)
        wait = self._connects.acquire(source)
        if not wait and self._open[source] - own >= self.settings.max_address_connections:
            wait = WHEN_FULL
        if wait:
            LIMITED.labels("connect").inc()
        return wait

    def acquire_socket(self, peer: str) -> bool:
        """Count an accepted connection; return False when its address has too many.

        Connections of a trusted proxy are not counted: all clients come from there. `release_socket` ends the count.
        """
        if not self._counts_sockets(peer):
            return True
        source = network_of(peer)
        with self._lock:
            if self._open[source] < self.settings.max_address_connections:
                self._open[source] += 1
                return True
        LIMITED.labels("socket").inc()
        return False

    def release_socket(self, peer: str) -> None:
        """Stop counting a closed connection that `acquire_socket` counted."""
        if self._counts_sockets(peer):
            self.remove_session(peer)

    def _counts_sockets(self, peer: str) -> bool:
        return self.applies_to(peer) and not self._proxies.may_be(peer)

    def add_session(self, address: str) -> None:
        """Count a Socket.IO session for which no accepted socket counts."""
        with self._lock:
            self._open[network_of(address)] += 1

    def remove_session(self, address: str) -> None:
        """Stop counting a session or a socket of an address."""
        key = network_of(address)
        with self._lock:
            if self._open[key] > 1:
                self._open[key] -= 1
            else:
                del self._open[key]

    def needs_redis(self, actor: Actor, address: str) -> bool:
        """Return whether `acquire_connection` may block on Redis."""
        return bool(user_of(actor)) and self.applies_to(address)

    def acquire_connection(self, actor: Actor, address: str) -> None:
        """Count a connection of an authenticated caller until `release_connection`. Raises TooFast, TooMany.

        Blocks on Redis for at most `limit_timeout` if `needs_redis` is true.
        """
        if not self.needs_redis(actor, address):
            return
        _refuse("connect", self._user_connects.acquire(key_of(actor)))
        limit = self.settings.max_user_connections
        if not self._quota.acquire(user_of(actor), limit):
            LIMITED.labels("connections").inc()
            raise TooMany(f"at most {limit} connections can be open at once", retry_after=WHEN_FULL)

    def release_connection(self, actor: Actor, address: str) -> None:
        """Stop counting a connection that `acquire_connection` counted."""
        if self.needs_redis(actor, address):
            self._quota.release(user_of(actor))

    def close(self) -> None:
        """End the threads, and close the connections to Redis."""
        self._reporter.close()
        self._quota.close()
        self.counts.close()


def _refuse(what: str, wait: float, message: str = "too many requests in this time") -> None:
    if wait:
        LIMITED.labels(what).inc()
        raise TooFast(message, retry_after=wait)
