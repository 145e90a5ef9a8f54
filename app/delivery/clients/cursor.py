"""The position of one client in one instance's log, and the frames that it is due next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.wire import Entry, Frame


@dataclass(slots=True, eq=False)
class Cursor:
    """The number of the last event that a client was sent, and the stamp of the last live state.

    `pace` is the number of seconds that the cursor pauses because its client is slow; 0 when it is not. `missed` is
    set once it needs events that the buffer no longer has.
    """

    client: Client
    epoch: str
    seq: int
    stamp: int = 0
    pace: float = 0.0
    missed: bool = False

    def copy_for(self, client: Client) -> Cursor:
        """Return a cursor of another client at the same position."""
        return Cursor(client, self.epoch, self.seq, self.stamp)

    def collect(self, entries: Iterable[Entry], limit: int) -> list[Frame]:
        """Return the frames of up to `limit` contiguous entries that follow the cursor, and move it past them.

        Entries that were sent already are left out; the result is empty when they start beyond the next number.
        """
        frames: list[Frame] = []
        for entry in entries:
            if len(frames) >= limit or entry.seq > self.seq + 1:
                break
            if entry.seq == self.seq + 1:
                frames.append(entry.frame)
                self.seq = entry.seq
        return frames
