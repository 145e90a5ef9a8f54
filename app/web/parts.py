"""What the parts of one web process share, and how a view gets at it. Beside the road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app
from flask_socketio import SocketIO

from app.core.denials import Denials
from app.core.offload import Offload
from app.core.runtime import Runtime
from app.core.tokens import Tokens
from app.delivery.hub import Hub
from app.delivery.warden import Warden
from app.web.announcer import Announcer
from app.web.background import Background
from app.web.budgets import Budgets
from app.web.fast_engine import Engine
from app.web.limits import Limits
from app.web.refusals import Refusals


@dataclass(slots=True)
class Web:
    """The shared parts; `app.extensions["swallowtail"]`."""

    rt: Runtime
    tokens: Tokens
    announcer: Announcer
    socketio: SocketIO
    #: The stream's half of this process; `app/wsgi.py` starts it.
    hub: Hub
    limits: Limits
    #: Ends what is no longer anybody's; `app/wsgi.py` starts it.
    warden: Warden
    #: The Socket.IO events that clients may send.
    events: frozenset[str]
    #: Who could not sign in, and whatever else somebody was refused, for the audit log.
    denials: Denials
    refusals: Refusals
    background: Background
    budgets: Budgets
    #: Websockets of our own; None where the stock ones serve.
    engine: Engine | None = None

    def offload(self, passwords: Offload, snapshots: Offload) -> None:
        """Have these made where they hold nobody up: in threads, where this process is one of greenlets."""
        self.rt.passwords.offload = passwords
        self.rt.offload = self.hub.archive.offload = snapshots
        self.rt.db.compute_by(snapshots)

    def close(self) -> None:
        """Close every connection; for the end of the process, after the sweeper and the hub were stopped."""
        self.background.stop()
        self.announcer.close()
        self.limits.close()
        self.refusals.close()
        self.denials.flush()
        self.rt.close()


def get_web() -> Web:
    """Return the shared parts of the running application."""
    return cast("Web", current_app.extensions["swallowtail"])


def get_runtime() -> Runtime:
    """Return the domain behind the running application."""
    return get_web().rt
