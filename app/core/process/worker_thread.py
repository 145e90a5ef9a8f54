"""Chooses where to run long computations: in a worker thread, so that greenlets do not wait."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.orm import Session

#: Key in `Session.info`.
OFFLOAD = "offload"
#: Bytes of JSON up to which no worker thread is used: the slowest input takes 5 µs per byte.
SMALL = 1024


class Offload(Protocol):
    """Runs a function that only computes, without blocking greenlets."""

    def __call__(self, work: Callable[..., Any], /, *arguments: Any) -> Any:
        """Return what `work(*arguments)` returns, or raise what it raises."""


def here(work: Callable[..., Any], /, *arguments: Any) -> Any:
    """Run the function at once: right for a process of threads."""
    return work(*arguments)


@dataclass(frozen=True, slots=True)
class Offloads:
    """Where a process computes what takes long: its greenlets, if it has any, would wait for it otherwise."""

    passwords: Offload = here
    payloads: Offload = here


#: Computes where it is called: for a process of ordinary threads.
NO_OFFLOADS = Offloads()


def looks_small(value: Any) -> bool:
    """Return whether a value has at most about `SMALL` bytes of JSON, without reading more of it."""
    room, pending = SMALL, [value]
    while pending and room >= 0:
        item = pending.pop()
        if isinstance(item, dict):
            room -= 2 + 4 * len(item)
            pending += [*item, *item.values()] if room >= 0 else []
        elif isinstance(item, list | tuple):
            room -= 2 + 2 * len(item)
            pending += item if room >= 0 else []
        else:
            room -= len(item) + 2 if isinstance(item, str | bytes) else 20
    return room >= 0


def place(session: Session, size: int = SMALL + 1) -> Offload:
    """Return where to compute with `size` bytes; large by default."""
    offload: Offload = session.info.get(OFFLOAD, here)
    return here if size <= SMALL else offload


def place_for(session: Session, value: Any) -> Offload:
    """Return where to compute with a value that is not encoded yet."""
    return here if looks_small(value) else place(session)
