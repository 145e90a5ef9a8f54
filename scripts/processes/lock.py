"""A file lock that one process holds until it ends, even when it is killed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class LockHeld(Exception):
    """Another process has the lock; `holder` is its id, or "unknown"."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by process {holder}")
        self.holder = holder


def acquire_lock(path: Path, *, wait: bool = False) -> int:
    """Acquire the lock until no process has the returned file open. Raises LockHeld unless `wait` is set."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(file, 32).decode().strip() or "unknown"
        os.close(file)
        raise LockHeld(holder) from None
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpid()).encode(), 0)
    return file
