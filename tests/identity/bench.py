"""Sets up a runtime with users and cheap password hashes, and an identity provider in this process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sqlalchemy import select

from swallowtail.app.core.events import now
from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.authenticate import Tokens
from swallowtail.app.core.identity.sessions import SignedIn, sign_in
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.security.roles import Role
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.audit import AuditEntry
from swallowtail.app.core.tables.auth import Membership, User
from tests.harness.database.tables import create_tables
from tests.harness.identity.signed_tokens import public_key, sign_token
from tests.harness.settings import make_settings

KEY = "k" * 32
PASSWORD = "correct horse battery"
#: Cheap to hash.
CHEAP: dict[str, Any] = {"password_memory_kib": 8, "password_rounds": 1}
ISSUER, AUDIENCE, JWKS = "https://id.example/", "swallowtail-api", "https://id.example/keys"
PROVIDER: dict[str, Any] = {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, "jwks_url": JWKS}


class Bench:
    """A runtime on SQLite that requires sign-in, with the instance `mine`."""

    def __init__(self, directory: Path, **values: Any) -> None:
        options = {"auth": "required", "secret_key": KEY, "var_dir": directory, **CHEAP, **values}
        self.rt = Runtime.build(make_settings(**options), publish=False)
        create_tables(self.rt.db.engine)
        self.tokens = Tokens(self.rt)
        with self.rt.db.read() as session:
            is_new = not users.has_users(session)
        if is_new:
            create_instance(self.rt, "Mine", "mine")

    def add(self, name: str = "ann", *, is_superuser: bool = False, role: Role | None = None) -> str:
        """Create a user; return the id."""
        user_id = users.create_user(self.rt, name, PASSWORD, is_superuser=is_superuser)["id"]
        if role is not None:
            with self.rt.db.write() as session:
                row = Membership(instance_id="mine", user_id=user_id, role=role.value, created_at=now())
                session.add(row)
        return user_id

    def sign_in(self, name: str = "ann", password: str = PASSWORD) -> SignedIn:
        """Open a session."""
        return sign_in(self.rt.by(Caller(Actor("nobody", "", ""), "rest", "192.0.2.7")), self.tokens, name, password)

    def by(self, actor: Actor) -> Runtime:
        """Return the runtime for an actor."""
        return self.rt.by(Caller(actor, "rest", "192.0.2.7"))

    def user(self, name: str = "ann") -> User:
        """Return the row of a user."""
        with self.rt.db.read() as session:
            return session.scalars(select(User).where(User.name == name)).one()

    def audit(self, scope: str = "") -> list[tuple[str, str]]:
        """Return the audit log of a scope: actors and actions."""
        with self.rt.db.read() as session:
            entries = session.scalars(select(AuditEntry).where(AuditEntry.scope == scope).order_by(AuditEntry.number))
            return [(entry.actor_name, entry.action) for entry in entries]

    def close(self) -> None:
        """Close the runtime."""
        self.rt.close()


class Provider:
    """An identity provider: keys, tokens signed with them, and a transport that serves the keys."""

    def __init__(self) -> None:
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.keys = [self.public("rsa1", self.rsa), self.public("ec1", self.ec)]
        self.requests = 0
        #: The response instead of the keys.
        self.answer: httpx2.Response | Exception | None = None
        #: The clock of the reader of the keys, in seconds.
        self.time = 1000.0

    @property
    def transport(self) -> httpx2.MockTransport:
        """The transport of HTTP requests to the provider."""
        return httpx2.MockTransport(self._respond)

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        self.requests += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or httpx2.Response(200, json={"keys": self.keys})

    @staticmethod
    def public(kid: str, key: Any, **more: Any) -> dict[str, Any]:
        """Return the published form of a key."""
        return {**public_key(key), "kid": kid, "use": "sig", **more}

    def sign(
        self,
        *,
        kid: str | None = "rsa1",
        key: Any = None,
        algorithm: str = "RS256",
        typ: str | None = None,
        **more: Any,
    ) -> str:
        """Return a token of `ada` with these claims and the usual ones; without a claim that is None."""
        moment = datetime.now(UTC)
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": moment, "exp": moment + timedelta(minutes=5)}
        claims = {name: value for name, value in {**usual, **more}.items() if value is not None}
        headers = {name: value for name, value in {"kid": kid, "typ": typ or "JWT"}.items() if value is not None}
        return sign_token(claims, key or self.rsa, algorithm, headers=headers)
