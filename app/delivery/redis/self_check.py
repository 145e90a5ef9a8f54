"""Checks that messages published to Redis come back to this process, and replaces the subscription when they do not.

A subscription can be dead without an error: half open, filtered, or forgotten by the server. Events then arrive only
through the head check, and later.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Literal

import redis
import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.core.redis.connection import connect
from swallowtail.app.delivery.metrics import NOT_RECEIVING, PROBE_SECONDS, PROBES
from swallowtail.app.delivery.redis.subscriber import Subscriber

log = structlog.get_logger(__name__)

State = Literal["waiting", "receives", "not_receiving", "away"]


@dataclass(frozen=True, slots=True)
class RedisState:
    """Whether published messages come back, and since when (`time.monotonic()`)."""

    state: State
    since: float
    detail: str


class SelfCheck:
    """Publishes to the subscriber's own channel every `probe_interval`, on a connection of its own."""

    def __init__(self, settings: Settings, subscriber: Subscriber) -> None:
        self._settings = settings
        self._subscriber = subscriber
        self._client: redis.Redis | None = None
        self._lock = threading.Lock()
        self._number = 0
        #: Number and moment of the messages that Redis accepted, or may have accepted, and that have not come back.
        self._pending: dict[int, float] = {}
        #: Since when Redis has accepted messages of which none came back; None when the latest came back.
        self._silent_since: float | None = None
        self._thread = PeriodicThread("self_check", self._check, settings.probe_interval)
        self.state = RedisState("waiting", time.monotonic(), "no self-check message has come back yet")

    def start(self) -> None:
        """Check in a thread from now on, first at once; Redis may be away."""
        self._thread.start()
        self._thread.wake()

    def stop(self) -> None:
        """End the thread, and close its connection."""
        # It connects and publishes at most: its connection must not close meanwhile.
        self._thread.stop(timeout=2 * self._settings.publish_timeout)
        if self._client is not None:
            self._client.close()

    def restart(self) -> None:
        """Check at once: the subscriber has a new connection."""
        # Earlier messages went to the former connection.
        self._forget_pending()
        self._thread.wake()

    def receive(self, message: bytes) -> None:
        """Take a message that came back. Does not block."""
        try:
            number = int(message)
        except ValueError:
            return
        with self._lock:
            sent_at = self._pending.get(number)
            if sent_at is None:
                return
            self._pending = {other: moment for other, moment in self._pending.items() if other > number}
            self._silent_since = min(self._pending.values(), default=None)
        PROBE_SECONDS.observe(time.monotonic() - sent_at)
        PROBES.labels("heard").inc()
        self._set_state("receives", "a published message came back")

    def _check(self) -> None:
        try:
            self._publish()
            self._replace_if_silent()
        except Exception:
            self._set_state("away", "the self-check failed; the log says why")
            raise

    def _publish(self) -> None:
        self._number += 1
        with self._lock:
            self._pending[self._number] = sent_at = time.monotonic()
        try:
            if self._client is None:
                self._client = connect(self._settings)
            self._client.publish(self._subscriber.own, b"%d" % self._number)
        except (redis.RedisError, OSError) as fault:
            PROBES.labels("refused").inc()
            with self._lock:
                self._pending.pop(self._number, None)
                self._silent_since = None
            self._set_state("away", f"Redis accepts no message ({type(fault).__name__})")
            return
        PROBES.labels("sent").inc()
        with self._lock:
            if self._number in self._pending and self._silent_since is None:
                self._silent_since = sent_at

    def _replace_if_silent(self) -> None:
        with self._lock:
            since = self._silent_since
        if since is None or (silence := time.monotonic() - since) < self._settings.deaf_after:
            return
        # The new connection gets as much time as this one had.
        self._forget_pending()
        PROBES.labels("lost").inc()
        self._set_state("not_receiving", "Redis accepts messages, but none comes back; the subscription is replaced")
        log.warning("not_receiving", seconds=round(silence, 1))
        self._subscriber.renew(f"not receiving for {silence:.1f} s")

    def _forget_pending(self) -> None:
        with self._lock:
            self._pending.clear()
            self._silent_since = None

    def _set_state(self, state: State, detail: str) -> None:
        if self.state.state != state:
            self.state = RedisState(state, time.monotonic(), detail)
        NOT_RECEIVING.set(state == "not_receiving")
