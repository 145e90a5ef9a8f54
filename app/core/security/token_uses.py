"""Collects when tokens were last used, so that no request waits for a write; a `Sweeper` stores them."""

from __future__ import annotations

import threading
from datetime import datetime

from sqlalchemy import bindparam, or_
from sqlalchemy.orm import Session

from swallowtail.app.core.tables.auth import AccessToken
from swallowtail.app.core.tables.base import Base

#: Most tokens whose use waits to be stored. The use of another is noted when it is used again.
MOST = 10_000
_TOKEN = Base.metadata.tables[AccessToken.__tablename__]
#: Another process may have stored a later use.
_STORE = (
    _TOKEN.update()
    .where(_TOKEN.c.id == bindparam("token"))
    .where(or_(_TOKEN.c.last_used_at.is_(None), _TOKEN.c.last_used_at < bindparam("moment")))
    .values(last_used_at=bindparam("moment"))
)


class TokenUses:
    """The last uses that one process has not stored yet. Safe to share between threads and greenlets."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, datetime] = {}

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to store."""
        return not self._waiting

    def note(self, token_id: str, moment: datetime) -> None:
        """Note that a token was used."""
        with self._lock:
            if token_id in self._waiting or len(self._waiting) < MOST:
                self._waiting[token_id] = moment

    def store(self, session: Session) -> None:
        """Store the noted uses. If the transaction fails, the next use of each token is noted again."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        # Every process locks the rows in this order.
        rows = [{"token": token_id, "moment": waiting[token_id]} for token_id in sorted(waiting)]
        if rows:
            session.connection().execute(_STORE, rows)
