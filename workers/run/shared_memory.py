"""Memory that the processes of one worker share: whether the worker stops, and which runs are alive.

The main process creates it before it forks; the pool children and the sweeper process map the same bytes. A step that
holds the interpreter for minutes can neither send nor receive a message, but reads this memory when it continues. Times
are seconds of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import mmap
import os
import tempfile
import time
from dataclasses import dataclass

#: One more than the number of runs of one worker whose lease can be extended for them.
SLOTS = 1024
_WORDS, _WORD = 32, 8
_SIZE = SLOTS * _WORDS * _WORD
#: Offsets within a slot, in words. The first slot belongs to the worker: its first word is the moment of the stop.
_HEARTBEAT, _EXTENSION, _LENGTH, _IDENTITY = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Which process performs which task: what another process needs to extend the lease of the run."""

    pid: int
    task_id: str
    token: str


class RunSlot:
    """The part of the memory that belongs to one pool child, and so to one run at a time."""

    def __init__(self, memory: SharedMemory, number: int) -> None:
        self.memory = memory
        self._first = number * _WORDS

    def open(self, run: RunIdentity) -> None:
        """Record that a run begins."""
        self.record_heartbeat(0.0)
        self.memory.numbers[self._first + _EXTENSION] = 0.0
        text = json.dumps([run.pid, run.task_id, run.token]).encode()
        start = (self._first + _IDENTITY) * _WORD
        if len(text) > (_WORDS - _IDENTITY) * _WORD:
            return
        self.memory.bytes[start : start + len(text)] = text
        self.record_heartbeat(time.monotonic())
        # Last: a process that reads a length finds the whole identity.
        self.memory.numbers[self._first + _LENGTH] = float(len(text))

    def close(self) -> None:
        """Record that the run is over."""
        self.memory.numbers[self._first + _LENGTH] = 0.0

    def read(self) -> RunIdentity | None:
        """Return the run in this slot, or None without one."""
        length = int(self.memory.numbers[self._first + _LENGTH])
        start = (self._first + _IDENTITY) * _WORD
        try:
            return RunIdentity(*json.loads(self.memory.bytes[start : start + length])) if length else None
        except (ValueError, TypeError):
            # The next run was being written at this moment.
            return None

    def record_heartbeat(self, moment: float) -> None:
        """Record that the run itself extended its lease at this moment."""
        self.memory.numbers[self._first + _HEARTBEAT] = moment

    def record_extension(self, moment: float) -> None:
        """Record that another process extended the lease of the run at this moment."""
        self.memory.numbers[self._first + _EXTENSION] = moment

    @property
    def last_heartbeat(self) -> float:
        """When the run itself last extended its lease."""
        return self.memory.numbers[self._first + _HEARTBEAT]

    @property
    def last_extension(self) -> float:
        """When another process last extended the lease of the run; 0 for never."""
        return self.memory.numbers[self._first + _EXTENSION]


class SharedMemory:
    """The memory that the processes of a worker share: new, or that of the process with this file descriptor."""

    def __init__(self, descriptor: int | None = None) -> None:
        self.descriptor = _create_file() if descriptor is None else descriptor
        self.bytes = mmap.mmap(self.descriptor, _SIZE)
        # Each number is stored at once, so that no process reads half of one.
        self.numbers = memoryview(self.bytes).cast("d")

    @property
    def is_stopping(self) -> bool:
        """Whether the worker is stopping."""
        return self.numbers[0] != 0.0

    def is_stopping_for(self, seconds: float) -> bool:
        """Return whether the worker has been stopping for this long."""
        return self.is_stopping and time.monotonic() >= self.numbers[0] + seconds

    def announce_stop(self) -> None:
        """Record that the worker is stopping; only the first call counts."""
        self.numbers[0] = self.numbers[0] or time.monotonic()

    def slot(self, child: int) -> RunSlot:
        """Return the slot of a pool child by its index in the pool."""
        return RunSlot(self, child % (SLOTS - 1) + 1)

    def open_slots(self) -> list[RunSlot]:
        """Return the slots that hold a run."""
        lengths = self.numbers[_WORDS + _LENGTH :: _WORDS].tolist()
        return [RunSlot(self, number) for number, length in enumerate(lengths, start=1) if length]


def _create_file() -> int:
    if hasattr(os, "memfd_create"):
        descriptor: int = os.memfd_create("swallowtail-worker")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _SIZE)
    return descriptor
