"""Joins the frames of several messages, so that one write sends them to any number of clients."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol


class FramedMessage(Protocol):
    """A message in its websocket frame."""

    wire: bytes


class FrameBatch:
    """Messages that leave in one write. Their bytes are joined once for all clients."""

    __slots__ = ("_ends", "count", "data", "frames", "size")

    def __init__(self, frames: Sequence[FramedMessage]) -> None:
        self.frames = frames
        self.count = len(frames)
        self.data = frames[0].wire if self.count == 1 else b"".join([frame.wire for frame in frames])
        self.size = len(self.data)
        self._ends: list[int] | None = None

    def cut(self, sent: int) -> tuple[int, memoryview | None]:
        """Return how many messages began within the first `sent` bytes, and the unsent rest of the last of them."""
        if not sent:
            return 0, None
        if self._ends is None:
            self._ends = list(accumulate(len(frame.wire) for frame in self.frames))
        index = bisect_left(self._ends, sent)
        missing = self._ends[index] - sent
        # A view into the shared message: the rest is not copied.
        return index + 1, memoryview(self.frames[index].wire)[-missing:] if missing else None
