"""The open files of a process: the three that all have, and whether too many were left open. Below `process_state`."""

from __future__ import annotations

import fcntl
import os
import resource
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

_STANDARD = (0, 1, 2)
#: Above these, so that no copy takes the number of one that was closed.
_FIRST_COPY = 10
#: Which part of those that a process may have open may be left to the next run.
_PART = 0.5


def take_standard() -> tuple[dict[int, int], list[Any]]:
    """Return copies of the standard files, and which of Python's streams are open."""
    copies = {}
    for number in _STANDARD:
        with suppress(OSError):  # a process may have been started without
            copies[number] = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, _FIRST_COPY)
    return copies, [stream for stream in _streams() if not getattr(stream, "closed", False)]


def put_standard(before: tuple[dict[int, int], list[Any]]) -> list[str]:
    """Put the standard files back where others are in their places; return the names of streams that were closed."""
    copies, streams = before
    for number, copy in copies.items():
        if not _is_same(number, copy):
            os.dup2(copy, number)
        os.close(copy)
    return [str(getattr(stream, "name", "?")) for stream in streams if getattr(stream, "closed", False)]


def are_too_many() -> bool:
    """Tell whether so many files are open that the next run might find no place for its own."""
    try:
        open_now = len(os.listdir("/dev/fd"))
    except OSError:
        return False
    return open_now > resource.getrlimit(resource.RLIMIT_NOFILE)[0] * _PART


def _streams() -> Iterable[Any]:
    return [sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__]


def _is_same(number: int, copy: int) -> bool:
    try:
        return os.path.sameopenfile(number, copy)
    except OSError:
        return False
