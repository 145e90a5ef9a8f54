"""Stores what a load client receives, and parses it after the measurement, so that parsing costs no time during it.

Events are recognised by the mark `@<number>:<nanoseconds since 1970>@` in their text; frames are not parsed.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

MARK = re.compile(rb"@(\d+):(\d+)@")
#: Begins and ends a mark. It occurs nowhere else in what a server sends here.
SIGN = b"@"
#: When events were committed, in nanoseconds since 1970, by room and number (as text, as in JSON).
Commits = dict[str, dict[str, int]]
#: The offset of a client of the peer with connection state recovery: the last argument of each of its events.
OFFSET = re.compile(rb',"([0-9]+-[0-9]+)"\]')


@dataclass(slots=True)
class Arrivals:
    """Received pieces, each with its time in nanoseconds since 1970."""

    pieces: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """Discard the pieces."""
        self.pieces.clear()
        self.times.clear()


@dataclass(slots=True)
class ReceivedEvents:
    """The events that a client received after number `last`, in order, and when each was sent and received."""

    last: int
    numbers: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    came: list[int] = field(default_factory=list)
    repeats: int = 0
    gaps: int = 0
    offset: str = ""

    def latencies(self, commits: Mapping[str, int]) -> list[int]:
        """Return the latency of each event: since its commit, by number, or else since it was sent."""
        return [
            came - commits.get(str(number), sent)
            for number, sent, came in zip(self.numbers, self.sent, self.came, strict=True)
        ]

    def pauses(self, commits: Mapping[str, int]) -> list[int]:
        """Return for each committed event how long it took from the commit until it was sent."""
        times = ((commits.get(str(number)), sent) for number, sent in zip(self.numbers, self.sent, strict=True))
        return [moment - sent for moment, sent in times if moment is not None]


def read(arrivals: Arrivals, last: int) -> ReceivedEvents:
    """Parse what a client received whose last event was number `last`."""
    reading = ReceivedEvents(last)
    text = b"".join(arrivals.pieces)
    ends = list(accumulate(map(len, arrivals.pieces)))
    for mark in MARK.finditer(text):
        number = int(mark[1])
        if number <= reading.last:
            reading.repeats += 1
            continue
        reading.gaps += number > reading.last + 1
        reading.last = number
        reading.numbers.append(number)
        reading.sent.append(int(mark[2]))
        reading.came.append(arrivals.times[bisect_left(ends, mark.end())])
    offsets = OFFSET.findall(text)
    reading.offset = offsets[-1].decode() if offsets else ""
    return reading


def percentile(ordered: Sequence[int], share: float) -> float:
    """Return a percentile of sorted nanoseconds, in milliseconds."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6 if ordered else float("nan")
