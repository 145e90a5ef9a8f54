"""Where a process does what only computes, for long: in a real thread, where greenlets would wait. Beside the road."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

#: Key in `Session.info`.
OFFLOAD = "offload"


class Offload(Protocol):
    """Runs a function that only computes, where it holds nobody up."""

    def __call__(self, work: Callable[..., Any], /, *arguments: Any) -> Any:
        """Return what `work(*arguments)` returns, or raise what it raises."""


def here(work: Callable[..., Any], /, *arguments: Any) -> Any:
    """Run it where it is asked for: right for a process of threads."""
    return work(*arguments)
