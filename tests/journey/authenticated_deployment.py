"""A deployment where callers authenticate, with users, tokens and clients that show them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import socketio

from swallowtail.app.core.identity import api_tokens, users
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.members import remove_member, set_member
from swallowtail.app.core.schemas.identities import CreatedToken, NewFrontEndToken, NewToken
from swallowtail.app.core.security.actors import Actor, Caller
from tests.harness.deployment import Deployment
from tests.harness.received_events import Wire
from tests.harness.recorder import ResumingRecorder

#: Callers must authenticate; changes take effect soon.
GUARDED = {"auth": "required", "secret_key": "k" * 40, "access_check": 0.5}
#: What every token shows of `data`.
KEPT = {
    "status", "previous_status", "progress", "timestamp", "cancel_requested", "step_id", "position", "tries",
    "started_at", "completed_at", "kind",
}  # fmt: skip


class Tenants:
    """The people of one deployment."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.rt = deployment.runtime()
        self.tokens = Tokens(self.rt)

    def add(self, name: str, role: str | None = None, instance_id: str = "") -> str:
        """Create a user, a member if a role is passed; return a personal token of the user."""
        view = users.create_user(self.rt, name, "correct horse battery")
        if role is not None:
            set_member(self.rt, instance_id, name, role)
        actor = Actor("user", view["id"], name, user_id=view["id"])
        return api_tokens.issue_personal(self.rt.by(Caller(actor, "rest")), NewToken(name="test"))["secret"]

    def page(self, instance_id: str, **options: Any) -> str:
        """Return the secret of a new front-end token."""
        return self.issue(instance_id, **options)["secret"]

    def issue(self, instance_id: str, **options: Any) -> CreatedToken:
        """Create a front-end token."""
        return api_tokens.issue_front_end(self.rt, self.tokens, instance_id, NewFrontEndToken(name="page", **options))

    def revoke(self, token: str) -> None:
        """Revoke a token of any kind."""
        actor = self.tokens.read(token)
        if actor.kind == "front_end":
            api_tokens.revoke_front_end(self.rt, actor.instance_id or "", actor.token_id or "")
        else:
            api_tokens.revoke_own(self.rt.by(Caller(actor, "rest")), actor.token_id or "")

    def remove(self, instance_id: str, name: str) -> None:
        """End a membership."""
        remove_member(self.rt, instance_id, name)


def show_resuming(token: str, url: str, transport: str = "websocket") -> ResumingRecorder:
    """A client that knows the whole protocol and shows a token."""
    return ResumingRecorder(url, auth={"token": token}, transports=(transport,))


def blinded(event: Wire, *shown: str) -> Wire:
    """An event, or live progress, as a token with these fields shows it."""
    data = {key: value if key in KEPT or key in shown else None for key, value in event["data"].items()}
    return {**event, "data": data}


def await_warning(client: ResumingRecorder) -> None:
    """Wait until the client receives the warning that its token expires."""
    client.wait_until(lambda: client.payloads("token_expiring"), "it is warned")


def find_refusal(url: str, auth: Any = None, *, transports: tuple[str, ...] = ("websocket",)) -> Any:
    """Try to connect; what the server says in its CONNECT_ERROR."""
    refusals: list[Any] = []
    client = socketio.Client(reconnection=False)
    client.on("connect_error", refusals.append)
    greeted: list[Any] = []
    client.on("connected", greeted.append)
    try:
        client.connect(url, transports=list(transports), auth=auth, wait_timeout=20)
    except socketio.exceptions.ConnectionError:
        assert greeted == []
        return refusals[0]
    finally:
        client.disconnect()
    raise AssertionError("it was let in")


NewDeployment = Callable[..., Deployment]
