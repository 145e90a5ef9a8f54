"""Whether this process hears Redis: it tells itself something, again and again. Beside the road, under the hub.

A subscription can be dead without anybody noticing: half open, filtered, forgotten by the server. Events then
come by the head check only, and later. Only a message that comes back proves that messages come; when none does
although Redis takes them, the listener gets a new connection.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Literal

import redis
import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.ledger.publisher import connect
from swallowtail.app.delivery.metrics import DEAF, PROBE_SECONDS, PROBES
from swallowtail.app.delivery.redis.subscriber import Listener

log = structlog.get_logger(__name__)

State = Literal["waiting", "hears", "deaf", "away"]


@dataclass(frozen=True, slots=True)
class Hearing:
    """What is known of the way through Redis, and since when (`time.monotonic()`)."""

    state: State
    since: float
    detail: str


class Probe:
    """Publishes to the listener's own channel every `probe_interval`, on a connection that nothing else uses."""

    def __init__(self, settings: Settings, listener: Listener) -> None:
        self._settings = settings
        self._listener = listener
        self._client: redis.Redis | None = None
        self._lock = threading.Lock()
        self._number = 0
        #: Number and moment of the probes that Redis took, or may have taken, and that have not come back.
        self._out: dict[int, float] = {}
        #: Since when Redis has taken probes of which none came back; None when the latest came back.
        self._unheard: float | None = None
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.hearing = Hearing("waiting", time.monotonic(), "no probe has come back yet")

    def start(self) -> None:
        """Probe in a thread from now on; Redis may be away."""
        self._thread = threading.Thread(target=self._run, name="self-probe", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread. It may still be waiting for Redis, for up to `publish_timeout`."""
        self._stopping.set()
        self._due.set()

    def hurry(self) -> None:
        """Probe at once: the listener has a new connection."""
        with self._lock:
            # What was sent before went to the connection that is gone.
            self._out.clear()
            self._unheard = None
        self._due.set()

    def hear(self, message: bytes) -> None:
        """Take a probe that came back. Called by the listener; does not block."""
        try:
            number = int(message)
        except ValueError:
            return
        with self._lock:
            sent = self._out.get(number)
            if sent is None:
                return
            self._out = {other: moment for other, moment in self._out.items() if other > number}
            self._unheard = min(self._out.values(), default=None)
        PROBE_SECONDS.observe(time.monotonic() - sent)
        PROBES.labels("heard").inc()
        self._note("hears", "a published message came back")

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._due.clear()
            try:
                self._probe()
                self._judge()
            except Exception:
                # A probe that died silently would go on to say what it said last.
                log.exception("probe_failed")
                self._note("away", "the probe failed; the log says why")
            self._due.wait(self._settings.probe_interval)
        if self._client is not None:
            self._client.close()

    def _probe(self) -> None:
        self._number += 1
        with self._lock:
            self._out[self._number] = sent = time.monotonic()
        try:
            if self._client is None:
                self._client = connect(self._settings)
            self._client.publish(self._listener.own, b"%d" % self._number)
        except (redis.RedisError, OSError) as fault:
            PROBES.labels("refused").inc()
            with self._lock:
                self._out.pop(self._number, None)
                self._unheard = None
            self._note("away", f"Redis takes no message ({type(fault).__name__})")
            return
        PROBES.labels("sent").inc()
        with self._lock:
            if self._number in self._out and self._unheard is None:
                self._unheard = sent

    def _judge(self) -> None:
        with self._lock:
            unheard = self._unheard
        if unheard is None or (silence := time.monotonic() - unheard) < self._settings.deaf_after:
            return
        with self._lock:
            # The new connection gets as much time as this one had.
            self._out.clear()
            self._unheard = None
        PROBES.labels("lost").inc()
        self._note("deaf", "Redis takes messages, but none comes back; the subscription is made anew")
        log.warning("deaf", seconds=round(silence, 1))
        self._listener.renew(f"deaf for {silence:.1f} s")

    def _note(self, state: State, detail: str) -> None:
        if self.hearing.state != state:
            self.hearing = Hearing(state, time.monotonic(), detail)
        DEAF.set(state == "deaf")
