"""Keeps snapshots for a moment, so that clients that reconnect together, too far behind, share one."""

from __future__ import annotations

import time

from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.wire import Since, SubscriptionStart


class SnapshotCache:
    """The latest start with a snapshot of each instance, encoded once, for `seconds`. Safe for threads."""

    def __init__(self, reader: DatabaseReader, seconds: float) -> None:
        self._reader = reader
        self._seconds = seconds
        self._starts: dict[str, tuple[float, SubscriptionStart]] = {}

    def keep(self, start: SubscriptionStart) -> None:
        """Keep a start with a snapshot that was just read."""
        if self._seconds:
            self._starts[start.instance_id] = (time.monotonic() + self._seconds, start)

    def find(self, instance_id: str, since: Since | None) -> SubscriptionStart | None:
        """Return a kept snapshot that a subscription with this position may start from."""
        entry = self._starts.get(instance_id)
        if entry is None or since is None or entry[0] < time.monotonic():
            return None
        head = entry[1].head
        # A client ahead of the snapshot has seen more than it holds; one that can be replayed needs no snapshot.
        newer = since.epoch == head.epoch and since.seq > head.seq
        return None if newer or self._reader.can_replay(head, since) else entry[1]

    def tidy(self) -> None:
        """Remove expired snapshots."""
        now = time.monotonic()
        for instance_id, entry in list(self._starts.items()):
            if entry[0] < now and self._starts.get(instance_id) is entry:
                del self._starts[instance_id]
