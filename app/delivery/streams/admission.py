"""Starts and ends the subscriptions of clients to one instance's stream."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.metrics import BUFFER_MISSES, SNAPSHOTS
from swallowtail.app.delivery.streams.event_intake import EventIntake
from swallowtail.app.delivery.wire import Since, SubscriptionStart


class Admission:
    """Places clients at their positions in a stream. Safe for threads."""

    def __init__(self, intake: EventIntake, lock: RLock, wake: Callable[[], None], replay_limit: int) -> None:
        """`lock` guards the intake. `wake` makes the stream deliver what the new client is due."""
        self._intake = intake
        self._lock = lock
        self._wake = wake
        self._replay_limit = replay_limit

    def admit_now(
        self,
        client: Client,
        since: Since | None,
        *,
        snapshot: SubscriptionStart | None,
        on_start: Callable[[SubscriptionStart], None],
    ) -> bool:
        """Start a subscription without the database, maybe from `snapshot`; returns False if the database is needed."""
        with self._lock:
            start = self._find_start(since) or self._check_snapshot(snapshot)
            if start is None:
                if since is not None and since.epoch == self._intake.buffer.epoch:
                    BUFFER_MISSES.labels("subscription").inc()
                return False
            if since is not None:
                self._intake.groups.remove(client)
            on_start(start)
            self._intake.groups.admit(client, start.seq, move=since is not None)
            behind = start.seq < self._intake.buffer.last
        if behind:
            self._wake()
        return True

    def admit(
        self, client: Client, start: SubscriptionStart, *, move: bool, on_start: Callable[[SubscriptionStart], None]
    ) -> None:
        """Start a subscription: call `on_start`, then deliver what follows `start.seq`.

        A client that is subscribed already stays where it is unless `move` is set.
        """
        intake = self._intake
        with self._lock:
            if move:
                intake.groups.remove(client)
            if start.head.epoch != intake.buffer.epoch:
                intake.restart(start.head)
                # The start may be older than the buffer; the stream asks the database.
                intake.gap.ask_now("epoch")
            intake.head, intake.is_gone = start.head, False
            intake.raise_target(start.head.seq, "subscribe")
            on_start(start)
            intake.groups.admit(client, start.seq, move=move)
        self._wake()

    def remove(self, client: Client, on_end: Callable[[], None]) -> None:
        """End a subscription: nothing of the instance follows `on_end`."""
        with self._lock:
            self._intake.groups.remove(client)
            on_end()
        self._wake()

    def _find_start(self, since: Since | None) -> SubscriptionStart | None:
        intake, buffer = self._intake, self._intake.buffer
        if intake.is_gone or intake.head.epoch != buffer.epoch:
            return None
        head = Head(buffer.epoch, max(buffer.last, intake.head.seq), intake.head.min_seq)
        if since is None:
            return None if buffer.has_gap else SubscriptionStart(intake.instance_id, "live", head, buffer.last)
        if since.epoch != buffer.epoch or not buffer.first - 1 <= since.seq <= buffer.last:
            return None
        if head.seq - since.seq > self._replay_limit:
            return None
        return SubscriptionStart(intake.instance_id, "replay", head, since.seq)

    def _check_snapshot(self, snapshot: SubscriptionStart | None) -> SubscriptionStart | None:
        """Return a snapshot that was read for another client if the buffer has what follows it."""
        buffer = self._intake.buffer
        if snapshot is None or self._intake.is_gone or snapshot.head.epoch != buffer.epoch:
            return None
        if snapshot.seq + 1 < buffer.first:
            return None
        SNAPSHOTS.labels("shared").inc()
        return snapshot
