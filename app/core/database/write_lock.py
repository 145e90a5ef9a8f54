"""Turns at SQLite's write lock: whoever asks first writes first, across threads and processes. Below `core/database/database`.

SQLite lets whoever happens to ask at the right moment write, so that one that has waited long and asks seldom may wait
for ever. Here each writer takes a ticket, the time since the machine started, and locks the byte of a file that has
this number; its turn has come when no lower byte is locked. The kernel takes the lock back when a process ends, however
that comes about. The file stays empty, and nothing depends on it but the order: SQLite's own lock is still what keeps
writers apart. Where such locks are missing (open file description locks, Linux only), there is no order, as without it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: `struct flock`: type, whence, start, length, pid.
_FLOCK = struct.Struct("@hhqqi4x")
#: A ticket that stays the first for so long, in seconds, belongs to a process that is stopped or waits for something
#: else: it is not waited for any longer. Longer than any write that is not out of the ordinary.
STALL_SECONDS = 0.5
#: Pause of the next in line, in seconds; those behind it look less often.
_LOOK_SECONDS = 0.001
_LONGEST_LOOK = 0.02


class Turns:
    """The queue of one process at one database; any number of threads and greenlets may stand in it."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-turns")
        #: The latest ticket that was found not to move.
        self._stalled = -1

    @contextmanager
    def taken(self, may_wait: Callable[[], bool]) -> Iterator[None]:
        """Wait for a turn, as long as `may_wait` answers yes, and keep it for the block; then go on without one.

        Raises nothing of its own: a queue that cannot be kept, on a full disk say, is none.
        """
        file = self._open()
        try:
            if file is not None:
                with suppress(OSError):
                    self._wait(file, may_wait)
            yield
        finally:
            if file is not None:
                os.close(file)

    def _open(self) -> int | None:
        if not hasattr(fcntl, "F_OFD_SETLK"):
            return None
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return None

    def _wait(self, file: int, may_wait: Callable[[], bool]) -> None:
        ticket = _take_ticket(file)
        first, since = -1, time.monotonic()
        while True:
            ahead = self._look_ahead(file, ticket)
            if not ahead or not may_wait():
                return
            if ahead[-1] != first:
                first, since = ahead[-1], time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                self._stalled = max(self._stalled, first)
            time.sleep(min(_LOOK_SECONDS * len(ahead), _LONGEST_LOOK))

    def _look_ahead(self, file: int, ticket: int) -> list[int]:
        """Return some of the tickets before `ticket`, the first of all at the end."""
        ahead: list[int] = []
        while (found := _find_locked(file, self._stalled + 1, ahead[-1] if ahead else ticket)) is not None:
            ahead.append(found)
        return ahead


def _take_ticket(file: int) -> int:
    ticket = time.monotonic_ns()
    while True:
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, ticket, 1, 0))
        except (BlockingIOError, PermissionError):
            # Somebody asked in the same nanosecond.
            ticket += 1
        else:
            return ticket


def _find_locked(file: int, begin: int, end: int) -> int | None:
    """Return a byte from `begin` to before `end` that somebody else has locked, or None."""
    if end <= begin:
        return None
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, begin, end - begin, 0)
    kind, _, start, _, _ = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else start
