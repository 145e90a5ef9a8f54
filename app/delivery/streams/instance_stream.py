"""Stop 10 of 12: Delivers the events of one instance to its clients, in order and once.

Messages, heads and departures go into a mailbox; the stream takes them out, reads missing events from the database,
and moves every cursor as far as it can. A thread that holds the lock of a stream waits for no other lock, so that a
send may end in a client's disconnection.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.core.process.circuit_breaker import CircuitBreaker
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.metrics import READS
from swallowtail.app.delivery.streams.admission import Admission
from swallowtail.app.delivery.streams.event_intake import EventIntake

log = structlog.get_logger(__name__)

#: Pause, in seconds, after the database could not be read.
READ_PAUSE = 1.0


class InstanceStream:
    """One instance with its mailbox, its clients and its position in the log. Safe for threads."""

    def __init__(
        self,
        instance_id: str,
        head: Head,
        settings: Settings,
        reader: DatabaseReader,
        transport: Transport,
        *,
        after: int | None = None,
    ) -> None:
        """`after`: where the first client stands if behind the head; the buffer starts there, also for the others."""
        self.instance_id = instance_id
        #: Subscriptions being started, which keep the stream from ending. Guarded by the lock of the registry.
        self.holds = 0
        self._reader = reader
        self._join_seconds = settings.join_seconds
        self._lock = threading.RLock()
        self._woken = threading.Event()
        #: Messages, and what else to do in turn.
        self._mailbox: deque[bytes | Callable[[], None]] = deque()
        self.intake = EventIntake(instance_id, head, settings, transport, after)
        self.admission = Admission(self.intake, self._lock, self._woken.set, settings.replay_limit)
        # Bound once: every message uses them.
        self._receive_message, self._advance = self.intake.receive, self.intake.advance
        self._groups, self._gap = self.intake.groups, self.intake.gap
        self._was_joined = self._was_resubscribed = False
        self._turned_at = 0.0
        #: Open after the database could not be read.
        self._breaker = CircuitBreaker(READ_PAUSE)

    @property
    def is_idle(self) -> bool:
        """Whether the stream has no client. Takes no lock."""
        return not self._groups

    @property
    def lagging_count(self) -> int:
        """The number of clients that do not have everything. Takes no lock."""
        return self._groups.lagging_count

    def joined(self) -> None:
        """Record that the channel's subscription has started: a gap found next is older than it. Takes no lock."""
        self._was_resubscribed = True

    def receive(self, message: bytes) -> None:
        """Take a message from the instance's channel; unless the stream is busy, it is sent before this returns."""
        self._mailbox.append(message)
        if not (self._join_delay() <= 0 and self._try_without_reading()):
            self._woken.set()

    def check(self, head: Head | None) -> None:
        """Take the head that the database returned; None when the instance does not exist."""
        buffer = self.intake.buffer
        cause = "head_check"
        if self._was_resubscribed:
            cause = "reconnect" if self._was_joined else "subscribe"
            self._was_resubscribed, self._was_joined = False, True
        if head is None or head.epoch != buffer.epoch or head.seq > buffer.last or buffer.has_gap:
            self._post(partial(self.intake.receive_head, head, cause))
        else:
            # No event is missing: the thread need not wake.
            self.intake.head = head

    def leave(self, client: Client) -> None:
        """Remove a client whose connection is closed. Takes no lock: it may be called in the middle of a send."""
        self._post(partial(self._groups.remove, client))

    def wake(self) -> None:
        """Make the thread run at once."""
        self._woken.set()

    def run(self, may_end: Callable[[InstanceStream], bool]) -> None:
        """Deliver until `may_end` agrees that the stream, which has no clients, is no longer needed."""
        while True:
            self._woken.wait(self._pause())
            self._woken.clear()
            if self._mailbox and (delay := self._join_delay()) > 0:
                time.sleep(delay)
            try:
                self.turn()
            except Unavailable as fault:
                log.warning("replay_postponed", instance_id=self.instance_id, reason=fault.message)
                self._breaker.record_failure()
            except Exception:
                log.exception("delivery_failed", instance_id=self.instance_id)
                self._breaker.record_failure()
            if self.is_idle and may_end(self):
                return

    def turn(self) -> None:
        """Take what has arrived, read missing events, and send what is due. Raises Unavailable once that is sent."""
        with self._lock:
            self._turned_at = time.monotonic()
            self._read_mailbox()
            self._advance()
        while (after := self._next_read()) is not None:
            page = self._reader.read_page(self.instance_id, after)
            self._breaker.record_success()
            with self._lock:
                self.intake.receive_page(after, page)
                self._read_mailbox()
                self._advance()
            # Lets the writing threads run, so that a long replay does not fill its client's backlog at once.
            time.sleep(0)
        with self._lock:
            for group in self._groups.all():
                group.send_head()

    def _try_without_reading(self) -> bool:
        """Do the part of `turn` that waits for nothing; returns whether that was all of it."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._turned_at = time.monotonic()
            self._read_mailbox()
            self._advance()
            return not self._mailbox and self._gap.ask_at is None and self._groups.lowest_position() is None
        except Exception:
            log.exception("delivery_failed", instance_id=self.instance_id)
            return False
        finally:
            self._lock.release()

    def _read_mailbox(self) -> None:
        while self._mailbox:
            item = self._mailbox.popleft()
            if isinstance(item, bytes):
                self._receive_message(item)
            else:
                item()

    def _next_read(self) -> int | None:
        """Return the number after which to read: the end of the buffer at a gap, or the lowest position of a cursor."""
        intake = self.intake
        with self._lock:
            now = time.monotonic()
            intake.asked_for = intake.buffer.target
            if self.is_idle or now < self._breaker.retry_at:
                return None
            if self._gap.is_due(now):
                return intake.buffer.last
            lowest_position = self._groups.lowest_position()
            if lowest_position is not None:
                READS.labels("replay").inc()
            return lowest_position

    def _post(self, change: Callable[[], None]) -> None:
        self._mailbox.append(change)
        self._woken.set()

    def _pause(self) -> float:
        with self._lock:
            if self._mailbox:
                return 0.0
            pause = self._groups.seconds_until_due()
            ask_at = 0.0 if self._groups.lowest_position() is not None else self._gap.ask_at
            if ask_at is not None:
                pause = min(pause, max(ask_at, self._breaker.retry_at) - time.monotonic())
            return max(pause, 0.001)

    def _join_delay(self) -> float:
        return self._turned_at + self._join_seconds - time.monotonic()
