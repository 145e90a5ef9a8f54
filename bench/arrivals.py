"""What a load client was sent, kept as it came and read afterwards: reading it at once would slow what is measured.

An event is recognised by the mark `@<number>:<nanoseconds since 1970>@` in its text; frames are not parsed one by one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

MARK = re.compile(rb"@(\d+):(\d+)@")
#: The sign that begins and ends a mark. It is nowhere else in what a server sends here.
SIGN = b"@"
#: When events were committed, in nanoseconds since 1970, by room and number (as JSON has it: text).
Commits = dict[str, dict[str, int]]
#: Where a client of the peer with connection state recovery stands: the last argument of each of its events.
OFFSET = re.compile(rb',"([0-9]+-[0-9]+)"\]')


@dataclass(slots=True)
class Arrivals:
    """The pieces that came, with the time of each in nanoseconds since 1970."""

    pieces: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def clear(self) -> None:
        """Forget what came."""
        self.pieces.clear()
        self.times.clear()


@dataclass(slots=True)
class Reading:
    """What one client was sent after event number `last`, in its order: numbers, and when each was sent and came."""

    last: int
    numbers: list[int] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    came: list[int] = field(default_factory=list)
    repeats: int = 0
    gaps: int = 0
    offset: str = ""

    def latencies(self, commits: Mapping[str, int]) -> list[int]:
        """Return how long each took: from when it was committed, by number, or else from when it was sent."""
        return [
            came - commits.get(str(number), sent)
            for number, sent, came in zip(self.numbers, self.sent, self.came, strict=True)
        ]

    def pauses(self, commits: Mapping[str, int]) -> list[int]:
        """Return how long each that was committed took from when it was sent until then."""
        found = ((commits.get(str(number)), sent) for number, sent in zip(self.numbers, self.sent, strict=True))
        return [moment - sent for moment, sent in found if moment is not None]


def read(arrivals: Arrivals, last: int) -> Reading:
    """Read what arrived at a client whose last event was number `last`."""
    reading = Reading(last)
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
    """Return, in milliseconds, what that share of sorted nanoseconds does not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6 if ordered else float("nan")
