"""How much one caller may ask of a web process: requests, connections, messages, tries to sign in. Before the road.

All web processes count together. Requests and tries to sign in ask Redis before they go on (`web/limits/shared_rate`). What opens
a connection or comes over one is decided by this process and settled with Redis afterwards (`web/limits/deferred_rate`), because the
loop that serves connections waits for nobody. How many connections a user has is asked for while the one that wants in
is set aside (`web/limits/connection_quota`). Every refusal says after how long to try again.
"""

from __future__ import annotations

import hashlib
import ipaddress
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

import structlog
from prometheus_client import Counter

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import WHEN_FULL, TooFast, TooMany
from swallowtail.app.core.security.permissions import NOBODY, Actor
from swallowtail.app.web.http.trusted_proxies import DIRECT, TrustedProxies
from swallowtail.app.web.limits.connection_quota import ConnectionQuota
from swallowtail.app.web.limits.deferred_rate import DeferredRate, Settlement
from swallowtail.app.web.limits.shared_rate import RedisCounts, SharedRate

log = structlog.get_logger(__name__)

LIMITED = Counter("swallowtail_limited_total", "What was refused because somebody asked for too much", ["what"])

#: The answer to a connection that is one too many of its address, before anything of it has been read.
TOO_MANY_CONNECTIONS = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % WHEN_FULL
)

_SUBSCRIBE = ("subscribe_instance", "subscribe_task")


class Limits:
    """All limits of one web process."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.counts = RedisCounts(settings, clock)
        self._settlement = Settlement(self.counts, settings.limit_settle)
        self._places = ConnectionQuota(settings)

        def share(name: str, rates: str) -> DeferredRate:
            return DeferredRate(name, rates, self._settlement, clock)

        def shared(name: str, rates: str, *, exact: bool = False) -> SharedRate:
            return SharedRate(name, rates, self.counts, exact=exact, clock=clock)

        self._requests = {
            ("address", True): shared("address-read", settings.address_read_limit),
            ("address", False): shared("address-write", settings.address_write_limit),
            ("caller", True): shared("read", settings.read_limit),
            ("caller", False): shared("write", settings.write_limit),
        }
        # Few, and worth an exact count.
        self._login = shared("login", settings.login_limit, exact=True)
        self._login_name = shared("login-name", settings.login_name_limit, exact=True)
        self._login_address = shared("login-address", settings.login_address_limit, exact=True)
        self._connects = share("address-connect", settings.connect_limit)
        self._user_connects = share("connect", settings.user_connect_limit)
        #: What all connections of a caller, and of an address, may say together.
        self.caller_messages = share("message", settings.user_message_limit)
        self.caller_subscriptions = share("subscribe", settings.user_subscribe_limit)
        self.address_messages = share("address-message", settings.address_message_limit)
        self.address_subscriptions = share("address-subscribe", settings.address_subscribe_limit)
        self._proxies = TrustedProxies(settings.trusted_proxies)
        #: By address: connections that were accepted, and those of Socket.IO that have none of their own.
        self._open: Tally[str] = Tally()
        self._lock = threading.Lock()

    def covers(self, address: str) -> bool:
        """Tell whether callers from this address are limited at all."""
        if self.settings.limits != "auto":
            return self.settings.limits == "on"
        return not (self.settings.is_open and (not address or _is_here(address)))

    def check_request(self, address: str, *, is_read: bool) -> None:
        """Count a request of an address. Raises TooFast."""
        if self.covers(address):
            _refuse("request", self._requests["address", is_read].take(network_of(address)))

    def check_caller(self, actor: Actor, address: str, *, is_read: bool) -> None:
        """Count a request of somebody who is known. Raises TooFast."""
        if self.covers(address) and (key := key_of(actor)):
            _refuse("request", self._requests["caller", is_read].take(key))

    def throttle_login(self, name: str, address: str) -> None:
        """Count a try to sign in, before its password is looked at. Raises TooFast.

        The more tries there were, the longer the pause that is asked for. Call `forgive_login` when it succeeded.
        """
        if not self.covers(address):
            return
        source, who = network_of(address), _hash(name)
        wait = self._login_address.take(source) or self._login.take(f"{who}:{source}") or self._login_name.take(who)
        _refuse("login", wait, "too many tries to sign in")

    def forgive_login(self, name: str, address: str) -> None:
        """Forget the tries of somebody who proved to be who they say, from where they did."""
        self._login.clear(f"{_hash(name)}:{network_of(address)}")

    def try_connect(self, address: str, *, own: int = 0) -> float:
        """Count a connection that an address wants to open. Returns 0, or after how many seconds to try again.

        `own`: what is counted of it already, by `acquire_socket`. Waits for nothing, and takes as long for the thousandth
        connection of an address as for the first.
        """
        if not self.covers(address):
            return 0.0
        source = network_of(address)
        wait = self._connects.take(source)
        if not wait and self._open[source] - own >= self.settings.max_address_connections:
            wait = WHEN_FULL
        if wait:
            LIMITED.labels("connect").inc()
        return wait

    def acquire_socket(self, peer: str) -> bool:
        """Count a connection when it is accepted; tells whether its address may have one more.

        Not of a trusted proxy: everybody comes from there. `release_socket` it when it is closed.
        """
        if not self._counts(peer):
            return True
        source = network_of(peer)
        with self._lock:
            if self._open[source] < self.settings.max_address_connections:
                self._open[source] += 1
                return True
        LIMITED.labels("socket").inc()
        return False

    def release_socket(self, peer: str) -> None:
        """Note that a connection which `acquire_socket` let in is closed."""
        if self._counts(peer):
            self.closed(peer)

    def _counts(self, peer: str) -> bool:
        return self.covers(peer) and not self._proxies.may_be(peer)

    def opened(self, address: str) -> None:
        """Note that an address has a connection of Socket.IO that no connection counts for which was accepted."""
        with self._lock:
            self._open[network_of(address)] += 1

    def closed(self, address: str) -> None:
        """Note that a connection of an address is gone."""
        with self._lock:
            _drop(self._open, network_of(address))

    def has_to_ask(self, actor: Actor, address: str) -> bool:
        """Tell whether `enter` may have to wait for Redis."""
        return bool(user_of(actor)) and self.covers(address)

    def enter(self, actor: Actor, address: str) -> None:
        """Let somebody who is known have a connection until `leave`. Raises TooFast, TooMany.

        Waits for Redis, `limit_timeout` at most, if `has_to_ask` says so.
        """
        if not self.has_to_ask(actor, address):
            return
        _refuse("connect", self._user_connects.take(key_of(actor)))
        most = self.settings.max_user_connections
        if not self._places.take(user_of(actor), most):
            LIMITED.labels("connections").inc()
            raise TooMany(f"at most {most} connections can be open at once", retry_after=WHEN_FULL)

    def leave(self, actor: Actor, address: str) -> None:
        """Note that a connection that was let in by `enter` is gone."""
        if self.has_to_ask(actor, address):
            self._places.give_back(user_of(actor))

    def close(self) -> None:
        """End the threads, and close the connections to Redis."""
        self._settlement.close()
        self._places.close()
        self.counts.close()


class MessageLimits:
    """What connections say: how much is heard of each, its caller and its address, and when it has been too much."""

    def __init__(self, limits: Limits, server: Any, clock: Callable[[], float] = time.monotonic) -> None:
        """`server` is python-socketio's."""
        settings = limits.settings
        self._limits = limits
        self._server = server
        self._messages = DeferredRate("", settings.message_limit, clock=clock)
        self._subscriptions = DeferredRate("", settings.subscribe_limit, clock=clock)
        self._most_refused = settings.flood_limit
        self._refused: Tally[str] = Tally()
        #: Whose connection it is, and from which address.
        self._whose: dict[str, tuple[Actor, str]] = {}

    def check(self, sid: str, event: str) -> None:
        """Count a message of a connection. Raises TooFast; closes a connection that goes on all the same."""
        actor, address = self._whose.get(sid, (NOBODY, ""))
        if not self._limits.covers(address):
            return
        taken = self._list(sid, key_of(actor), network_of(address), event in _SUBSCRIBE)
        wait = max(share.peek(key) for share, key in taken)
        if not wait:
            for share, key in taken:
                share.take(key)
            return
        LIMITED.labels("message").inc()
        self._refused[sid] += 1
        if self._refused[sid] == self._most_refused:
            log.info("flood_ended", sid=sid)
            self._server.start_background_task(self._server.disconnect, sid)
        raise TooFast("these are too many messages in this time", retry_after=wait)

    def begin(self, sid: str, actor: Actor) -> None:
        """Note whose connection this is; they have been let in by `Limits.enter`."""
        environ = self._server.get_environ(sid) or {}
        self._whose[sid] = (actor, environ.get("REMOTE_ADDR", ""))

    def forget(self, sid: str) -> None:
        """Forget a connection that is gone."""
        if (whose := self._whose.pop(sid, None)) is not None:
            self._limits.leave(*whose)
        self._refused.pop(sid, None)
        self._messages.clear(sid)
        self._subscriptions.clear(sid)

    def _list(self, sid: str, caller: str, source: str, subscribes: bool) -> list[tuple[DeferredRate, str]]:
        """Return what a message is counted by, and under which key."""
        limits = self._limits
        taken = [(self._messages, sid), (limits.address_messages, source)]
        if caller:
            taken.append((limits.caller_messages, caller))
        if subscribes:
            taken += [(self._subscriptions, sid), (limits.address_subscriptions, source)]
            if caller:
                taken.append((limits.caller_subscriptions, caller))
        return taken


def count_connections(server: Any, limits: Limits) -> None:
    """Count the connections of each address in a Socket.IO server (python-socketio's).

    Those with a websocket that was counted when it was accepted are not counted again: those that poll, and those
    behind a proxy, are.
    """
    engine = server.eio
    connect, disconnect = engine.handlers["connect"], engine.handlers["disconnect"]
    addresses: dict[str, str] = {}
    direct: set[str] = set()

    def opened(eio_sid: str, environ: dict[str, Any]) -> Any:
        answer = connect(eio_sid, environ)
        if (answer is None or answer is True) and not (DIRECT in environ and _is_websocket(environ)):
            addresses[eio_sid] = address = environ.get("REMOTE_ADDR", "")
            limits.opened(address)
            if DIRECT in environ:
                direct.add(eio_sid)
        return answer

    def closed(eio_sid: str, *reason: Any) -> Any:
        forget(eio_sid)
        return disconnect(eio_sid, *reason)

    def upgraded(eio_sid: str) -> None:
        if eio_sid in direct:
            forget(eio_sid)

    def forget(eio_sid: str) -> None:
        direct.discard(eio_sid)
        address = addresses.pop(eio_sid, None)
        if address is not None:
            limits.closed(address)

    engine.on("connect", opened)
    engine.on("disconnect", closed)
    engine.handlers["upgrade"] = upgraded


def _is_websocket(environ: dict[str, Any]) -> bool:
    # The library goes by the first, if there are several.
    return parse_qs(environ.get("QUERY_STRING", "")).get("transport", [])[:1] == ["websocket"]


def key_of(actor: Actor) -> str:
    """Return what counts are kept under for somebody who is known; nothing for anybody else."""
    return "" if actor.kind in ("system", "open", "nobody") else actor.token_id or actor.user_id or actor.id


def user_of(actor: Actor) -> str:
    """Return what connections are counted under: a user with all their tokens, or one front end."""
    return actor.user_id or actor.id if actor.kind == "user" else key_of(actor)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Return what counts are kept under for an address: one customer has a whole /64 of IPv6."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address or "unknown"
    if found.version == 4:
        return address
    mapped = found.ipv4_mapped
    return str(mapped) if mapped is not None else str(ipaddress.ip_network((found, 64), strict=False))


@lru_cache(maxsize=4096)
def _is_here(address: str) -> bool:
    return is_loopback(address)


def _hash(name: str) -> str:
    # Names are of any length, and no business of whoever reads Redis.
    return hashlib.sha256(name.strip().lower().encode(errors="replace")).hexdigest()[:32]


def _drop(tally: Tally[str], key: str) -> None:
    if tally[key] > 1:
        tally[key] -= 1
    else:
        del tally[key]


def _refuse(what: str, wait: float, message: str = "this is too much in this time") -> None:
    if wait:
        LIMITED.labels(what).inc()
        raise TooFast(message, retry_after=wait)
