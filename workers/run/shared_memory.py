"""What the processes of one worker tell each other in memory that they share: that it stops, and who is still alive.

Beside the road. The main process makes the board before it forks; its children and its reaper see the same bytes. A
step that holds the interpreter for minutes can neither send nor answer a message; what is written here it finds when it
is back. Times are of this machine's monotonic clock, in seconds, which is one for all processes.
"""

from __future__ import annotations

import json
import mmap
import os
import tempfile
import time
from dataclasses import dataclass

#: One more than the runs that one worker can perform at once and have kept.
SLOTS = 1024
_WORDS, _WORD = 32, 8
_SIZE = SLOTS * _WORDS * _WORD
#: Places of numbers in a slot, in words; the first slot is the board's own.
_BEATEN, _KEPT, _LENGTH, _NOTE = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Note:
    """Who performs what: the child's process id, and what a heartbeat needs to be its."""

    pid: int
    task_id: str
    token: str


class Slot:
    """The part of a board that one run has for itself."""

    def __init__(self, board: Board, place: int) -> None:
        self._board = board
        self._first = place * _WORDS

    def open(self, note: Note) -> None:
        """Say that a run begins."""
        self.beat(0.0)
        self._board.numbers[self._first + _KEPT] = 0.0
        text = json.dumps([note.pid, note.task_id, note.token]).encode()
        start = (self._first + _NOTE) * _WORD
        if len(text) > (_WORDS - _NOTE) * _WORD:
            return
        self._board.memory[start : start + len(text)] = text
        self.beat(time.monotonic())
        # Last: whoever reads a length finds the whole note.
        self._board.numbers[self._first + _LENGTH] = float(len(text))

    def close(self) -> None:
        """Say that the run is over."""
        self._board.numbers[self._first + _LENGTH] = 0.0

    def read(self) -> Note | None:
        """Return who performs what, or None when nobody does."""
        length = int(self._board.numbers[self._first + _LENGTH])
        start = (self._first + _NOTE) * _WORD
        try:
            return Note(*json.loads(self._board.memory[start : start + length])) if length else None
        except (ValueError, TypeError):
            # The next run was just being written down.
            return None

    def beat(self, moment: float) -> None:
        """Say that the run itself has extended its lease, as of this moment."""
        self._board.numbers[self._first + _BEATEN] = moment

    def keep(self, moment: float) -> None:
        """Say that the lease was extended for the run, as of this moment."""
        self._board.numbers[self._first + _KEPT] = moment

    @property
    def is_leaving(self) -> bool:
        """Whether the worker was told to stop."""
        return self._board.is_leaving

    @property
    def left_at(self) -> float:
        """When the worker was told to stop; 0 before that."""
        return self._board.numbers[0]

    @property
    def beaten(self) -> float:
        """When the run last extended its lease itself."""
        return self._board.numbers[self._first + _BEATEN]

    @property
    def kept(self) -> float:
        """When the lease was last extended for it; 0 for never."""
        return self._board.numbers[self._first + _KEPT]


class Board:
    """The memory that the processes of a worker share.

    Args:
        descriptor: of another process's board, which passed it on; a new one when left out.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _make_file() if descriptor is None else descriptor
        self.memory = mmap.mmap(self.descriptor, _SIZE)
        # One store for each number, so that nobody reads half of one.
        self.numbers = memoryview(self.memory).cast("d")

    @property
    def is_leaving(self) -> bool:
        """Whether the worker was told to stop."""
        return self.numbers[0] != 0.0

    def leave(self) -> None:
        """Say that the worker was told to stop."""
        self.numbers[0] = self.numbers[0] or time.monotonic()

    def slot(self, child: int) -> Slot:
        """Return the slot of a pool child by its place in the pool."""
        return Slot(self, child % (SLOTS - 1) + 1)

    def open_slots(self) -> list[Slot]:
        """Return the slots of the runs that go on."""
        marks = self.numbers[_WORDS + _LENGTH :: _WORDS].tolist()
        return [Slot(self, place) for place, mark in enumerate(marks, start=1) if mark]


def _make_file() -> int:
    if hasattr(os, "memfd_create"):
        made: int = os.memfd_create("swallowtail-board")
    else:
        with tempfile.TemporaryFile() as file:
            made = os.dup(file.fileno())
    os.ftruncate(made, _SIZE)
    return made
