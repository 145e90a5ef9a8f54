"""The public interface of Swallowtail: agents, their context and errors, signals, testing and the client."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from swallowtail.version import VERSION

if TYPE_CHECKING:
    from swallowtail import client, signals, testing
    from swallowtail.context import Context
    from swallowtail.workers.registry.declaration import agent
    from swallowtail.workers.run.outcomes import PermanentError

__version__ = VERSION

__all__ = ["Context", "PermanentError", "agent", "client", "signals", "testing"]

#: The module that defines each public name.
_DEFINED_IN = {
    "agent": "swallowtail.workers.registry.declaration",
    "Context": "swallowtail.context",
    "PermanentError": "swallowtail.workers.run.outcomes",
}
_SUBMODULES = ("client", "signals", "testing")


if not TYPE_CHECKING:  # for a type checker, a misspelt name is an error

    def __getattr__(name: str) -> Any:
        """Import a public name at first use. Raises AttributeError for other names."""
        if name in _SUBMODULES:
            return import_module(f"swallowtail.{name}")
        if name not in _DEFINED_IN:
            raise AttributeError(f"module 'swallowtail' has no attribute {name!r}")
        return getattr(import_module(_DEFINED_IN[name]), name)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
