"""Recent events of one watched instance, in an unbroken line, each encoded once. Inside `delivery/hub` on the road.

The ring takes events in whatever order they arrive and gives them out in the order of their numbers: what continues the
line is taken at once, what comes early is held until the numbers before it have come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from swallowtail.app.delivery.wire import Entry


class Ring:
    """At most `events` entries of at most `size` bytes together. Not safe for threads: its watch has the lock.

    `last` is the number of the latest event in the line, `first` that of the earliest kept (`last + 1` when none is),
    `target` the highest number that is known to exist.
    """

    def __init__(self, epoch: str, last: int, *, events: int, size: int) -> None:
        self._most = events
        self._size = size
        self.begin_anew(epoch, last)

    def begin_anew(self, epoch: str, last: int) -> None:
        """Forget everything and continue after `last` of `epoch`."""
        self.epoch = epoch
        self.last = last
        self.target = last
        self._kept: deque[Entry] = deque()
        self._bytes = 0
        self._early: dict[int, Entry] = {}

    @property
    def first(self) -> int:
        """The number of the earliest entry kept."""
        return self.last - len(self._kept) + 1

    @property
    def has_gap(self) -> bool:
        """Whether an event is known to exist that the line does not reach yet."""
        return self.target > self.last

    def knows(self, seq: int) -> bool:
        """Tell whether event `seq` is in the line, has left it, or is held."""
        return seq <= self.last or seq in self._early

    def expect(self, seq: int) -> None:
        """Note that an event of this number exists."""
        self.target = max(self.target, seq)

    def correct(self, seq: int) -> None:
        """Note that no event after `seq` exists, whatever was expected before."""
        self.target = max(self.last, seq)

    def offer(self, entries: Iterable[Entry]) -> list[Entry]:
        """Take entries in any order, repeats included. Returns those that now continue the line, in order."""
        taken: list[Entry] = []
        for entry in entries:
            self.expect(entry.seq)
            following: Entry | None = entry
            if entry.seq != self.last + 1:
                self._hold(entry)
                continue
            while following is not None:
                self.last = following.seq
                taken.append(following)
                following = self._early.pop(self.last + 1, None)
        self._keep(taken)
        return taken

    def after(self, seq: int, limit: int) -> list[Entry] | None:
        """Return up to `limit` entries after `seq`, or None when the ring does not reach back that far."""
        if seq + 1 < self.first:
            return None
        start = max(seq + 1 - self.first, 0)
        return list(islice(self._kept, start, start + limit))

    def __len__(self) -> int:
        return len(self._kept)

    def _hold(self, entry: Entry) -> None:
        # A hold that is full drops what comes: the target is noted, and the database has the event.
        if entry.seq > self.last and len(self._early) < self._most:
            self._early[entry.seq] = entry

    def _keep(self, entries: list[Entry]) -> None:
        for entry in entries:
            self._kept.append(entry)
            self._bytes += len(entry.frame)
        while len(self._kept) > self._most or (self._bytes > self._size and len(self._kept) > 1):
            self._bytes -= len(self._kept.popleft().frame)
