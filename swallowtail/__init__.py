"""Public interface of Swallowtail: agents, their context, errors, testing and the client, loaded at first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swallowtail.workers.registry.catalogue import agent as agent
    from swallowtail.workers.run.context import Context as Context
    from swallowtail.workers.run.outcomes import PermanentError as PermanentError

#: The module that defines each public name.
_MODULES = {
    "agent": "swallowtail.workers.registry.catalogue",
    "Context": "swallowtail.workers.run.context",
    "PermanentError": "swallowtail.workers.run.outcomes",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module at first use. Raises AttributeError for other names."""
    if name not in _MODULES:
        raise AttributeError(f"module 'swallowtail' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
