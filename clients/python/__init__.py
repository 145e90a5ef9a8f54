"""Clients of Swallowtail: `swallowtail.client`, or this directory copied under a name of your choice.

`Client` and `AsyncClient` call the server. `TaskWebSocketClient` is the Socket.IO client alone, which needs no httpx2.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .client import Client
    from .errors import (
        ApiError,
        ClientError,
        Conflict,
        ConnectionFailed,
        Forbidden,
        InvalidInput,
        NotFound,
        TooFast,
        Unauthenticated,
        Unavailable,
    )
    from .handlers import Handlers, State
    from .log_position import Payload, Since, StepText
    from .rest.results import Agent, ApiWarning, Event, LiveUpdate, Reset, Step, Submission, Task, Waiting
    from .socket_connection import Refused
    from .task_websocket_client import TaskWebSocketClient

__all__ = [
    "Agent",
    "ApiError",
    "ApiWarning",
    "AsyncClient",
    "Client",
    "ClientError",
    "Conflict",
    "ConnectionFailed",
    "Event",
    "Forbidden",
    "Handlers",
    "InvalidInput",
    "LiveUpdate",
    "NotFound",
    "Payload",
    "Refused",
    "Reset",
    "Since",
    "State",
    "Step",
    "StepText",
    "Submission",
    "Task",
    "TaskWebSocketClient",
    "TooFast",
    "Unauthenticated",
    "Unavailable",
    "Waiting",
]

#: The module that defines each name; a module is imported when one of its names is used.
_DEFINED_IN = {
    name: module
    for module, names in {
        "async_client": "AsyncClient",
        "client": "Client",
        "errors": (
            "ApiError ClientError Conflict ConnectionFailed Forbidden InvalidInput NotFound TooFast Unauthenticated "
            "Unavailable"
        ),
        "handlers": "Handlers State",
        "log_position": "Payload Since StepText",
        "rest.results": "Agent ApiWarning Event LiveUpdate Reset Step Submission Task Waiting",
        "socket_connection": "Refused",
        "task_websocket_client": "TaskWebSocketClient",
    }.items()
    for name in names.split()
}


if not TYPE_CHECKING:  # for a type checker, a misspelt name is an error

    def __getattr__(name: str) -> Any:
        """Import a name at first use. Raises AttributeError for other names."""
        if name not in _DEFINED_IN:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_DEFINED_IN[name]}", __name__), name)


def __dir__() -> list[str]:
    """List the names, loaded or not."""
    return sorted({*globals(), *__all__})
