"""What the parts of one web process share, and how a view gets at it. Beside the road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from flask import current_app
from flask_socketio import SocketIO

from app.core.runtime import Runtime


@dataclass(slots=True)
class Web:
    """The shared parts; `app.extensions["swallowtail"]`."""

    rt: Runtime
    socketio: SocketIO
    #: The stream's half of this process; `app/wsgi.py` starts it.
    hub: Any = None


def get_web() -> Web:
    """Return the shared parts of the running application."""
    return cast("Web", current_app.extensions["swallowtail"])


def get_runtime() -> Runtime:
    """Return the domain behind the running application."""
    return get_web().rt
