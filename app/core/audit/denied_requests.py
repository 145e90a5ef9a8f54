"""Writes denied requests and failed sign-ins to the audit log, and counts repetitions instead of writing each.

A caller who is denied a thousand times must not fill the disk: the first denial of a kind (who, from where, what, which
object) is written at once, those that follow are counted and written together, and a process writes at most
`max_refusals` entries in a `refusal_window`.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from swallowtail.app.core.audit.writer import SYSTEM_SCOPE, AuditRecord, append
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.events import clean, now
from swallowtail.app.core.security.actors import ANONYMOUS, Caller
from swallowtail.app.core.tables.auth import User

log = structlog.get_logger(__name__)

#: Kinds that are distinguished at once; further denials are counted as one kind.
MOST_KINDS = 1000
#: Actions in the log.
DENIED, LOGIN_FAILED, TOKEN_REFUSED = "denied", "login.failed", "token.refused"
_LONGEST = 100

Key = tuple[str, ...]


@dataclass(slots=True)
class _Kind:
    """One kind of refusal: since when its entry stands, and how many came after it."""

    caller: Caller
    record: AuditRecord
    since: float
    more: int = 0


class Denials:
    """The refusals of one process. Safe to share between threads and greenlets."""

    def __init__(self, db: Database, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        #: Seconds in which refusals of one kind make one entry, and how many entries this process writes in them.
        self.window, self._most = settings.refusal_window, settings.max_refusals
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[Key, _Kind] = {}
        #: What was typed for a name is remembered, for a minute, as something that cannot be found from it.
        self._salt = secrets.token_bytes(16)
        self._began = 0.0
        self._written = 0

    def note(self, caller: Caller, scope: str, act: str, object_type: str, object_id: str) -> None:
        """Note a denied request. Errors here are logged and not raised."""
        object_id = clean(object_id)[:_LONGEST]
        record = AuditRecord(scope, DENIED, object_type, object_id, {"act": clean(act)[:_LONGEST]})
        self._take(caller, record)

    def note_failed_login(self, caller: Caller, name: str) -> None:
        """Note a failed sign-in.

        An unknown name is left out: now and then it is a password. It costs what a known one costs,
        each name by itself, or the time that the answer takes would tell which names there are.
        """
        user_id = ""
        try:
            with self._db.read() as session:
                user_id = session.scalar(select(User.id).where(User.name == clean(name).strip().lower())) or ""
        except SQLAlchemyError as fault:
            log.warning("denials_not_written", count=1, reason=str(fault))
        detail = {"name": clean(name).strip().lower()} if user_id else {}
        caller = Caller(ANONYMOUS, caller.entrance, caller.address)
        wanted = clean(name).strip().lower().encode()
        self._take(
            caller,
            AuditRecord(SYSTEM_SCOPE, LOGIN_FAILED, "user", user_id, detail),
            hashlib.blake2b(wanted, key=self._salt, digest_size=16).hexdigest(),
        )

    def note_token(self, caller: Caller, scope: str, act: str, token_id: str, why: str) -> None:
        """Note a refused token; `token_id` where it is known to have been the caller's."""
        record = AuditRecord(
            scope, TOKEN_REFUSED, "token", clean(token_id)[:_LONGEST], {"act": clean(act)[:_LONGEST], "why": why}
        )
        self._take(caller, record)

    def count_unwritten(self) -> None:
        """Count a refusal that there is no time to write down."""
        with self._lock:
            self._count_the_rest(DENIED)

    def tell_due(self) -> None:
        """Write down what has been counted for as long as one entry stands for it."""
        with self._lock:
            due = self._collect(self._clock())
        self._write(due)

    def flush(self) -> None:
        """Write what was counted and not written yet; for the end of the process."""
        with self._lock:
            due = [kind for kind in self._kinds.values() if kind.more]
            self._kinds.clear()
        self._write([(kind.caller, _told_again(kind)) for kind in due])

    def _take(self, caller: Caller, record: AuditRecord, about: str | None = None) -> None:
        """Write a refusal down or count it; `about` distinguishes kinds, by default the detail of the entry."""
        actor, about = caller.actor, str(sorted(record.detail.items())) if about is None else about
        key = (actor.kind, actor.id, caller.address, record.scope, record.action, record.object_id, about)
        with self._lock:
            due = self._collect(self._clock())
            known = self._kinds.get(key)
            if known is not None:
                known.more += 1
            elif self._may_write() and len(self._kinds) < MOST_KINDS:
                self._kinds[key] = _Kind(caller, record, self._clock())
                due.append((caller, record))
            else:
                self._count_the_rest(record.action)
        self._write(due)

    def _collect(self, at: float) -> list[tuple[Caller, AuditRecord]]:
        """Take out the kinds whose time is over, with an entry for what was counted."""
        if at - self._began >= self.window:
            self._began, self._written = at, 0
        over = [(key, kind) for key, kind in self._kinds.items() if at - kind.since >= self.window]
        due = []
        for key, kind in over:
            del self._kinds[key]
            if kind.more:
                self._written += 1
                due.append((kind.caller, _told_again(kind)))
        return due

    def _may_write(self) -> bool:
        if self._written >= self._most:
            return False
        self._written += 1
        return True

    def _count_the_rest(self, action: str) -> None:
        rest = AuditRecord(SYSTEM_SCOPE, action, "", "", {"others": True})
        key = ("", "", "", SYSTEM_SCOPE, action, "others")
        kind = self._kinds.setdefault(key, _Kind(Caller(ANONYMOUS, "system"), rest, self._clock()))
        kind.more += 1

    def _write(self, due: list[tuple[Caller, AuditRecord]]) -> None:
        if not due:
            return
        try:
            self._db.run(partial(_append_all, due=due))
        except (SwallowtailError, SQLAlchemyError) as fault:
            log.warning("denials_not_written", count=len(due), reason=str(fault))


def _append_all(session: Session, due: list[tuple[Caller, AuditRecord]]) -> None:
    # Chains are locked in one order by everybody.
    for caller, record in sorted(due, key=lambda pair: pair[1].scope):
        append(session, caller, [record], now())


def _told_again(kind: _Kind) -> AuditRecord:
    record = kind.record
    return AuditRecord(
        record.scope, record.action, record.object_type, record.object_id, {**record.detail, "more": kind.more}
    )
