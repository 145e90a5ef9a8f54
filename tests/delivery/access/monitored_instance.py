"""One process with an access monitor, and an instance whose members and tokens tests change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from swallowtail import signals
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.identity import api_tokens
from swallowtail.app.core.identity.members import remove_member
from swallowtail.app.core.schemas.identities import NewFrontEndToken, NewToken
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.roles import Role
from swallowtail.app.delivery.clients.client import Client
from tests.delivery.access.monitored_hub import Process
from tests.identity.bench import Bench


class MonitoredInstance:
    """One process, an instance `mine` with an owner, and `ann`, a viewer of it."""

    def __init__(self, directory: Path) -> None:
        self.bench = Bench(directory, jwt_leeway=0)
        self.rt = self.bench.rt
        self.process = Process(self.rt, self.bench.tokens)
        self.hub, self.monitor = self.process.hub, self.process.monitor
        signals.event_recorded.connect(self._receive, self.rt.db)
        self.bench.add("owner", role=Role.OWNER)
        self.bench.add("ann", role=Role.VIEWER)
        self.ann = self.personal("ann")
        self.process.connect("witness", self.personal("owner"))
        self.process.subscribe("witness")

    def _receive(self, sender: object, events: Sequence[EventRecord]) -> None:
        self.process.receive(events)

    def personal(self, name: str) -> str:
        user = self.bench.user(name)
        actor = Actor("user", user.id, user.name, user_id=user.id)
        return api_tokens.issue_personal(self.bench.by(actor), NewToken(name="test"))["secret"]

    def page(self, owner: str | None = None, **options: Any) -> str:
        user = None if owner is None else self.bench.user(owner)
        rt = self.rt if user is None else self.bench.by(Actor("user", user.id, user.name, user_id=user.id))
        return api_tokens.issue_front_end(rt, self.bench.tokens, "mine", NewFrontEndToken(name="page", **options))[
            "secret"
        ]

    def revoke(self, token: str) -> None:
        actor = self.bench.tokens.read(token)
        assert actor.token_id is not None
        if actor.kind == "front_end":
            api_tokens.revoke_front_end(self.rt, "mine", actor.token_id)
        else:
            api_tokens.revoke_own(self.bench.by(actor), actor.token_id)

    def remove(self) -> None:
        remove_member(self.rt, "mine", "ann")

    def revoke_and_review(self, token: str) -> None:
        self.revoke(token)
        self.monitor.review()

    def remove_and_review(self) -> None:
        self.remove()
        self.monitor.review()

    def client(self, name: str) -> Client:
        return self.hub.clients.by_id[name]

    def story(self, name: str) -> list[str]:
        return self.process.story(name)
