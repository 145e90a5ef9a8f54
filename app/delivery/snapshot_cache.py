"""Snapshots that were just read, for others that come for one at nearly the same time. On the road beside `archive`.

After a restore, a long outage or a prune, everybody who comes back is too far behind at once. What is read for the
first of them is good for all: it is the state at its head, and whoever gets it goes on from that head.
"""

from __future__ import annotations

import time

from swallowtail.app.delivery.database_reader import Archive
from swallowtail.app.delivery.wire import Answer, Since


class Snapshots:
    """The latest answer of each instance that holds a snapshot, encoded once, for `seconds`. Safe for threads."""

    def __init__(self, archive: Archive, seconds: float) -> None:
        self._archive = archive
        self._seconds = seconds
        self._kept: dict[str, tuple[float, Answer]] = {}

    def keep(self, answer: Answer) -> Answer:
        """Keep an answer that was read just now, if it holds a snapshot; returns it."""
        if answer.snapshot is None or not self._seconds:
            return answer
        self._kept[answer.instance_id] = (time.monotonic() + self._seconds, answer)
        return answer

    def find(self, instance_id: str, since: Since | None) -> Answer | None:
        """Return the snapshot that a subscription with this position may begin with, if there is one."""
        kept = self._kept.get(instance_id)
        if kept is None or since is None or kept[0] < time.monotonic():
            return None
        head = kept[1].head
        # Whoever is ahead of it has seen more than it holds, and whoever can go on from where it is needs none.
        newer = since.epoch == head.epoch and since.seq > head.seq
        return None if newer or self._archive.can_replay(head, since) else kept[1]

    def tidy(self) -> None:
        """Forget those whose time is over."""
        now = time.monotonic()
        for instance_id, kept in list(self._kept.items()):
            if kept[0] < now and self._kept.get(instance_id) is kept:
                del self._kept[instance_id]
