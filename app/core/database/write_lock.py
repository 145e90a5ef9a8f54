"""Queues SQLite's writers in order of arrival, across threads and processes.

SQLite grants its write lock to any waiting process, so that one may wait for ever. Here each writer takes a ticket (the
time since the machine started) and locks the byte of a file at this offset; it writes once no lower byte is locked. The
kernel frees the lock when a process ends. The file stays empty and only decides the order: SQLite's own lock separates
the writers. Without open file description locks (Linux only) there is no order.
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
#: Seconds after which the first ticket is skipped: its process is stopped or waits for something else. Longer than any
#: usual write.
STALL_SECONDS = 0.5
#: Seconds between two checks of the next writer; later writers check less often.
_CHECK_SECONDS = 0.001
_LONGEST_CHECK = 0.02


class WriterQueue:
    """The queue of writers of one database. Safe to share between threads and greenlets."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-turns")
        #: The latest ticket that was skipped.
        self._stalled = -1

    @contextmanager
    def entered(self, may_wait: Callable[[], bool]) -> Iterator[None]:
        """Wait in the queue while `may_wait` returns true, and hold the place during the block.

        Raises nothing: without a working queue, on a full disk for example, the block runs at once.
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
            ahead = self._find_ahead(file, ticket)
            if not ahead or not may_wait():
                return
            if ahead[-1] != first:
                first, since = ahead[-1], time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                self._stalled = max(self._stalled, first)
            time.sleep(min(_CHECK_SECONDS * len(ahead), _LONGEST_CHECK))

    def _find_ahead(self, file: int, ticket: int) -> list[int]:
        """Return some of the tickets before `ticket`, the very first at the end."""
        ahead: list[int] = []
        while (byte := _find_locked(file, self._stalled + 1, ahead[-1] if ahead else ticket)) is not None:
            ahead.append(byte)
        return ahead


def _take_ticket(file: int) -> int:
    ticket = time.monotonic_ns()
    while True:
        try:
            fcntl.fcntl(file, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, ticket, 1, 0))
        except (BlockingIOError, PermissionError):
            # Another writer has the ticket of this nanosecond.
            ticket += 1
        else:
            return ticket


def _find_locked(file: int, begin: int, end: int) -> int | None:
    """Return a byte from `begin` to before `end` that another writer has locked, or None."""
    if end <= begin:
        return None
    query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, begin, end - begin, 0)
    kind, _, start, _, _ = _FLOCK.unpack(fcntl.fcntl(file, fcntl.F_OFD_GETLK, query))
    return None if kind == fcntl.F_UNLCK else start
