"""Keeps the recent events of one instance in memory, in order and without gaps, each encoded once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from swallowtail.app.delivery.wire import Entry


class EventBuffer:
    """At most `events` entries of at most `size` bytes together. Not safe for threads: its stream has the lock.

    Entries that continue the sequence are appended at once; entries that arrive early are held until the numbers
    before them arrive. `last` is the number of the latest entry in sequence, `first` that of the earliest kept
    (`last + 1` when none is kept), `target` the highest number that is known to exist.
    """

    def __init__(self, epoch: str, last: int, *, events: int, size: int) -> None:
        self._most = events
        self._size = size
        self.restart(epoch, last)

    def restart(self, epoch: str, last: int) -> None:
        """Remove all entries and continue after event `last` of `epoch`."""
        self.epoch = epoch
        self.last = last
        self.target = last
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._early: dict[int, Entry] = {}

    @property
    def first(self) -> int:
        """The number of the earliest entry kept."""
        return self.last - len(self._entries) + 1

    @property
    def has_gap(self) -> bool:
        """Whether an event is known to exist that the sequence does not reach yet."""
        return self.target > self.last

    def contains(self, seq: int) -> bool:
        """Return whether event `seq` is or was in the sequence, or is held."""
        return seq <= self.last or seq in self._early

    def raise_target(self, seq: int) -> None:
        """Record that event `seq` exists."""
        self.target = max(self.target, seq)

    def correct(self, seq: int) -> None:
        """Record that no event after `seq` exists, even if one was expected."""
        self.target = max(self.last, seq)

    def offer(self, entries: Iterable[Entry]) -> list[Entry]:
        """Add entries in any order, repeats included. Returns those that now continue the sequence, in order."""
        added: list[Entry] = []
        for entry in entries:
            self.raise_target(entry.seq)
            following: Entry | None = entry
            if entry.seq != self.last + 1:
                self._hold(entry)
                continue
            while following is not None:
                self.last = following.seq
                added.append(following)
                following = self._early.pop(self.last + 1, None)
        self._keep(added)
        return added

    def after(self, seq: int, limit: int) -> list[Entry] | None:
        """Return up to `limit` entries after `seq`, or None when the buffer does not reach back that far."""
        if seq + 1 < self.first:
            return None
        start = max(seq + 1 - self.first, 0)
        return list(islice(self._entries, start, start + limit))

    def __len__(self) -> int:
        return len(self._entries)

    def _hold(self, entry: Entry) -> None:
        # A full hold drops the entry: the target is recorded, and the database has the event.
        if entry.seq > self.last and len(self._early) < self._most:
            self._early[entry.seq] = entry

    def _keep(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._entries.append(entry)
            self._bytes += len(entry.frame)
        while len(self._entries) > self._most or (self._bytes > self._size and len(self._entries) > 1):
            self._bytes -= len(self._entries.popleft().frame)
