"""Chooses where to run long computations: in a worker thread where greenlets would wait for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

#: Key in `Session.info`.
OFFLOAD = "offload"
#: Bytes of JSON up to which no worker thread is used: the slowest input takes 5 µs per byte.
SMALL = 1024


#: Calls a function that only computes, with the further arguments, without blocking greenlets.
Offload = Callable[..., Any]


def run_here(work: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call the function in this thread: right for a process without greenlets."""
    return work(*arguments)


@dataclass(frozen=True, slots=True)
class Offloads:
    """Where a process runs long computations."""

    passwords: Offload = run_here
    payloads: Offload = run_here


NO_OFFLOADS = Offloads()


def looks_small(value: Any) -> bool:
    """Return whether a value has at most about `SMALL` bytes of JSON, without reading more of it."""
    left, pending = SMALL, [value]
    while pending and left >= 0:
        item = pending.pop()
        if isinstance(item, dict):
            left -= 2 + 4 * len(item)
            pending += [*item, *item.values()] if left >= 0 else []
        elif isinstance(item, list | tuple):
            left -= 2 + 2 * len(item)
            pending += item if left >= 0 else []
        else:
            left -= len(item) + 2 if isinstance(item, str | bytes) else 20
    return left >= 0


def offload_by_size(session: Session, size: int = SMALL + 1) -> Offload:
    """Return where to compute with `size` bytes; large by default."""
    offload: Offload = session.info.get(OFFLOAD, run_here)
    return run_here if size <= SMALL else offload


def offload_for(session: Session, value: Any) -> Offload:
    """Return where to compute with a value that is not encoded yet."""
    return run_here if looks_small(value) else offload_by_size(session)
