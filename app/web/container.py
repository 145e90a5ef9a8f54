"""Holds the objects that the parts of one web process share, and gives views access to them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from swallowtail.app.core.audit.denied_requests import DeniedRequests
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.first_user import FirstUserCheck
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.delivery.access_monitor import AccessMonitor
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.engineio.fast_engine import FastEngine
from swallowtail.app.web.engineio.sessions import Sessions
from swallowtail.app.web.engineio.shutdown import ServerThreads
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.socketio.transport import SocketTransport
from swallowtail.app.web.websocket.budgets import MemoryBudgets


@dataclass(slots=True)
class WebContainer:
    """The shared objects of a web process; `app.extensions["swallowtail"]`."""

    rt: Runtime
    tokens: Tokens
    sessions: Sessions
    transport: SocketTransport
    #: Delivers events to clients; `app/web/serving/web_process.py` starts it.
    hub: Hub
    limits: Limits
    #: Ends subscriptions that are no longer allowed; `app/web/serving/web_process.py` starts it.
    access_monitor: AccessMonitor
    #: Failed sign-ins and denied requests, for the audit log.
    denials: DeniedRequests
    denied_requests: DeniedRequestQueue
    background: ServerThreads
    budgets: MemoryBudgets
    #: The fast websocket engine; None if the stock engine serves.
    engine: FastEngine | None
    #: Whether the sign-in page says how to create the first user.
    first_user: FirstUserCheck = field(default_factory=FirstUserCheck)

    def close(self) -> None:
        """Close all connections at the end of the process, after the sweeper and the hub have stopped."""
        self.background.stop()
        self.limits.close()
        self.denied_requests.close()
        self.denials.flush()
        self.rt.close()


def get_container() -> WebContainer:
    """Return the shared objects of the running application."""
    return cast("WebContainer", current_app.extensions["swallowtail"])


def get_runtime() -> Runtime:
    """Return the domain runtime of the running application."""
    return get_container().rt
