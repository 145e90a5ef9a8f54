"""Finds which tokens of connected clients have ended, so that their connections can be closed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from swallowtail.app.core.database.database import Database
from swallowtail.app.core.events import now
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.visibility import batched
from swallowtail.app.core.tables.auth import AccessToken, User

Reason = Literal["expired", "revoked", "disabled"]

#: Longest wait for the database, in seconds.
_PATIENCE = 2.0


def find_ended(db: Database, actors: Collection[Actor], leeway: float) -> dict[Actor, Reason]:
    """Return the actors whose token would be refused now, with the reason. Raises Unavailable."""
    tokens = {actor.token_id for actor in actors if actor.token_id}
    users = {actor.user_id for actor in actors if actor.user_id}
    ended: dict[str, Reason] = {}
    with db.read(wait=_PATIENCE) as session:
        moment = now()
        rows = _read_rows(session, select(AccessToken.id, AccessToken.revoked_at, AccessToken.expires_at), tokens)
        for token_id in tokens:
            row = rows.get(token_id)
            if row is None or row.revoked_at is not None:
                ended[token_id] = "revoked"
            elif row.expires_at is not None and row.expires_at <= moment:
                ended[token_id] = "expired"
        known = _read_rows(session, select(User.id, User.disabled_at), users)
    # As new connections do, accept a token for the leeway after its end.
    moment -= timedelta(seconds=leeway)
    disabled = {user for user in users if user not in known or known[user].disabled_at is not None}
    reasons = {actor: _find_reason(actor, ended, disabled, moment) for actor in actors}
    return {actor: reason for actor, reason in reasons.items() if reason is not None}


def _read_rows(session: Session, query: Any, ids: Iterable[str]) -> dict[str, Row[Any]]:
    column = query.selected_columns[0]
    return {row.id: row for part in batched(sorted(ids)) for row in session.execute(query.where(column.in_(part)))}


def _find_reason(
    actor: Actor, ended: Mapping[str, Reason], disabled: Collection[str], moment: datetime
) -> Reason | None:
    if actor.user_id in disabled:
        return "disabled"
    if actor.expires_at is not None and actor.expires_at <= moment:
        return "expired"
    return ended.get(actor.token_id or "")
