"""Restores the three standard files, and detects that too many files stay open, for `process_state`."""

from __future__ import annotations

import fcntl
import os
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

_STANDARD = (0, 1, 2)
#: Lowest number of a copy, so that none takes the number of a standard file that was closed.
_FIRST_COPY = 10
#: Share of the limit of open files that a run may leave open.
_SHARE = 0.5


def read_standard() -> tuple[dict[int, int], list[Any]]:
    """Return copies of the standard files, and Python's open streams."""
    copies = {}
    for number in _STANDARD:
        with suppress(OSError):  # a process may be started without them
            copies[number] = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _FIRST_COPY)
    return copies, [stream for stream in _streams() if not getattr(stream, "closed", False)]


def restore_standard(before: tuple[dict[int, int], list[Any]]) -> list[str]:
    """Restore standard files that were replaced; return the names of streams that were closed."""
    copies, streams = before
    for number, copy in copies.items():
        if not _is_same(number, copy):
            os.dup2(copy, number)
        os.close(copy)
    return [str(getattr(stream, "name", "?")) for stream in streams if getattr(stream, "closed", False)]


def are_too_many() -> bool:
    """Return whether so many files are open that the next run might reach the limit."""
    try:
        open_now = len(os.listdir("/dev/fd"))
    except OSError:
        return False
    return open_now > resource.getrlimit(resource.RLIMIT_NOFILE)[0] * _SHARE


def _streams() -> Iterable[Any]:
    return [sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__]


def _is_same(number: int, copy: int) -> bool:
    try:
        return os.path.sameopenfile(number, copy)
    except OSError:
        return False
