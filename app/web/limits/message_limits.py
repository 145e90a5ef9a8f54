"""Limits the Socket.IO messages of each connection, its caller and its address, and disconnects floods."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable
from typing import Any

import structlog

from swallowtail.app.core.errors import TooFast
from swallowtail.app.core.security.actors import ANONYMOUS, Actor
from swallowtail.app.web.limits.deferred_rate import DeferredRate
from swallowtail.app.web.limits.keys import key_of, network_of
from swallowtail.app.web.limits.limits import LIMITED, Limits

log = structlog.get_logger(__name__)

_SUBSCRIBE = ("subscribe_instance", "subscribe_task")


class MessageLimits:
    """The message limits of all connections of one process."""

    def __init__(self, limits: Limits, server: Any, clock: Callable[[], float] = time.monotonic) -> None:
        """`server` is python-socketio's."""
        settings = limits.settings
        self._limits = limits
        self._server = server
        self._messages = DeferredRate("", settings.message_limit, clock=clock)
        self._subscriptions = DeferredRate("", settings.subscribe_limit, clock=clock)
        self._flood_limit = settings.flood_limit
        self._refused: Tally[str] = Tally()
        #: Caller and address of each connection.
        self._callers: dict[str, tuple[Actor, str]] = {}

    def check(self, sid: str, event: str) -> None:
        """Count a message. Raises TooFast; disconnects a client that keeps sending."""
        actor, address = self._callers.get(sid, (ANONYMOUS, ""))
        if not self._limits.applies_to(address):
            return
        rates = self._list(sid, key_of(actor), network_of(address), event in _SUBSCRIBE)
        wait = max(rate.peek(key) for rate, key in rates)
        if not wait:
            for rate, key in rates:
                rate.acquire(key)
            return
        LIMITED.labels("message").inc()
        self._refused[sid] += 1
        if self._refused[sid] == self._flood_limit:
            log.info("flooding_client_disconnected", sid=sid)
            self._server.start_background_task(self._server.disconnect, sid)
        raise TooFast("too many messages in this time", retry_after=wait)

    def begin(self, sid: str, actor: Actor) -> None:
        """Record the caller of a connection that `Limits.acquire_connection` counts."""
        environ = self._server.get_environ(sid) or {}
        self._callers[sid] = (actor, environ.get("REMOTE_ADDR", ""))

    def forget(self, sid: str) -> None:
        """Forget a closed connection."""
        if (caller := self._callers.pop(sid, None)) is not None:
            self._limits.release_connection(*caller)
        self._refused.pop(sid, None)
        self._messages.clear(sid)
        self._subscriptions.clear(sid)

    def _list(self, sid: str, caller: str, source: str, subscribes: bool) -> list[tuple[DeferredRate, str]]:
        limits = self._limits
        rates = [(self._messages, sid), (limits.address_messages, source)]
        if caller:
            rates.append((limits.caller_messages, caller))
        if subscribes:
            rates += [(self._subscriptions, sid), (limits.address_subscriptions, source)]
            if caller:
                rates.append((limits.caller_subscriptions, caller))
        return rates
