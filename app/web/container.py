"""What the parts of one web process share, and how a view gets at it. Beside the road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app
from flask_socketio import SocketIO

from swallowtail.app.core.audit.denied_requests import Denials
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.process.worker_thread import Offload
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.delivery.access_monitor import AccessMonitor
from swallowtail.app.delivery.hub import Hub
from swallowtail.app.web.background.denied_requests import DeniedRequestQueue
from swallowtail.app.web.background.publish_queue import PublishQueue
from swallowtail.app.web.engineio.fast_engine import Engine
from swallowtail.app.web.engineio.shutdown import Background
from swallowtail.app.web.limits.limits import Limits
from swallowtail.app.web.websocket.budgets import MemoryBudgets


@dataclass(slots=True)
class Web:
    """The shared parts; `app.extensions["swallowtail"]`."""

    rt: Runtime
    tokens: Tokens
    announcer: PublishQueue
    socketio: SocketIO
    #: The stream's half of this process; `app/web/serving/web_process.py` starts it.
    hub: Hub
    limits: Limits
    #: Ends subscriptions that are no longer allowed; `app/web/serving/web_process.py` starts it.
    access_monitor: AccessMonitor
    #: The Socket.IO events that clients may send.
    events: frozenset[str]
    #: Who could not sign in, and whatever else somebody was refused, for the audit log.
    denials: Denials
    denied_requests: DeniedRequestQueue
    background: Background
    budgets: MemoryBudgets
    #: Websockets of our own; None where the stock ones serve.
    engine: Engine | None = None

    def offload(self, passwords: Offload, snapshots: Offload) -> None:
        """Have these made where they hold nobody up: in threads, where this process is one of greenlets."""
        self.rt.passwords.offload = passwords
        self.rt.offload = self.hub.reader.offload = snapshots
        self.rt.db.compute_by(snapshots)

    def close(self) -> None:
        """Close every connection; for the end of the process, after the sweeper and the hub were stopped."""
        self.background.stop()
        self.announcer.close()
        self.limits.close()
        self.denied_requests.close()
        self.denials.flush()
        self.rt.close()


def get_web() -> Web:
    """Return the shared parts of the running application."""
    return cast("Web", current_app.extensions["swallowtail"])


def get_runtime() -> Runtime:
    """Return the domain behind the running application."""
    return get_web().rt
