"""Writes denied requests and failed sign-ins to the audit log, and counts repetitions instead of writing each.

A caller who is denied a thousand times must not fill the disk. The first denial of a kind (caller, address, action,
object) is written at once. Repetitions are counted and written as one entry, and a process writes at most
`max_refusals` entries in a `refusal_window`.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
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

#: Maximum number of kinds; further denials are counted as one kind.
MOST_KINDS = 1000
#: Actions in the log.
DENIED, LOGIN_FAILED, TOKEN_REFUSED = "denied", "login.failed", "token.refused"
_LONGEST = 100

Key = tuple[str, ...]


@dataclass(slots=True)
class _Kind:
    """One kind of denial: when its entry was written, and the number of repetitions since."""

    caller: Caller
    record: AuditRecord
    since: float
    more: int = 0


class DeniedRequests:
    """The denied requests of one process. Safe to share between threads and greenlets."""

    def __init__(self, db: Database, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._db = db
        #: Seconds in which denials of one kind make one entry, and most entries of this process in them.
        self.window, self._most = settings.refusal_window, settings.max_refusals
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[Key, _Kind] = {}
        #: Typed names are kept as keyed hashes, because some are passwords.
        self._salt = secrets.token_bytes(16)
        self._began = 0.0
        self._written = 0

    def note(self, caller: Caller, scope: str, act: str, object_type: str, object_id: str) -> None:
        """Note a denied request. Errors here are logged and not raised."""
        object_id = clean(object_id)[:_LONGEST]
        self._note(caller, AuditRecord(scope, DENIED, object_type, object_id, {"act": clean(act)[:_LONGEST]}))

    def note_failed_login(self, caller: Caller, name: str) -> None:
        """Note a failed sign-in.

        The entry has no unknown name, because it may be a password. Each name is counted separately, whether known or
        unknown: otherwise the response time would reveal which names exist.
        """
        name, user_id = clean(name).strip().lower(), ""
        try:
            with self._db.read() as session:
                user_id = session.scalar(select(User.id).where(User.name == name)) or ""
        except SQLAlchemyError as error:
            log.warning("denials_not_written", count=1, reason=str(error))
        record = AuditRecord(SYSTEM_SCOPE, LOGIN_FAILED, "user", user_id, {"name": name} if user_id else {})
        digest = hashlib.blake2b(name.encode(), key=self._salt, digest_size=16).hexdigest()
        self._note(Caller(ANONYMOUS, caller.entrance, caller.address), record, digest)

    def note_token(self, caller: Caller, scope: str, act: str, token_id: str, reason: str) -> None:
        """Note a refused token; `token_id` is empty if the token proves no id."""
        detail = {"act": clean(act)[:_LONGEST], "why": reason}
        self._note(caller, AuditRecord(scope, TOKEN_REFUSED, "token", clean(token_id)[:_LONGEST], detail))

    def count_unwritten(self) -> None:
        """Count a denied request without an entry of its own, because too many wait."""
        with self._lock:
            self._count_other(DENIED)

    def write_due(self) -> None:
        """Write the counts of the kinds whose window is over."""
        with self._lock:
            due = self._collect(self._clock())
        self._write(due)

    def flush(self) -> None:
        """Write all counts; for the end of the process."""
        with self._lock:
            due = [kind for kind in self._kinds.values() if kind.more]
            self._kinds.clear()
        self._write([(kind.caller, _count_record(kind)) for kind in due])

    def _note(self, caller: Caller, record: AuditRecord, distinction: str | None = None) -> None:
        """Write a denial or count it; `distinction` is part of its kind, by default the detail of the entry."""
        actor, distinction = caller.actor, distinction or str(sorted(record.detail.items()))
        key = (actor.kind, actor.id, caller.address, record.scope, record.action, record.object_id, distinction)
        with self._lock:
            due = self._collect(self._clock())
            known = self._kinds.get(key)
            if known is not None:
                known.more += 1
            elif self._may_write() and len(self._kinds) < MOST_KINDS:
                self._kinds[key] = _Kind(caller, record, self._clock())
                due.append((caller, record))
            else:
                self._count_other(record.action)
        self._write(due)

    def _collect(self, at: float) -> list[tuple[Caller, AuditRecord]]:
        """Remove the kinds whose window is over; return entries for the counted repetitions."""
        if at - self._began >= self.window:
            self._began, self._written = at, 0
        over = [(key, kind) for key, kind in self._kinds.items() if at - kind.since >= self.window]
        due = []
        for key, kind in over:
            del self._kinds[key]
            if kind.more:
                self._written += 1
                due.append((kind.caller, _count_record(kind)))
        return due

    def _may_write(self) -> bool:
        if self._written >= self._most:
            return False
        self._written += 1
        return True

    def _count_other(self, action: str) -> None:
        record = AuditRecord(SYSTEM_SCOPE, action, "", "", {"others": True})
        key = ("", "", "", SYSTEM_SCOPE, action, "others")
        self._kinds.setdefault(key, _Kind(Caller(ANONYMOUS, "system"), record, self._clock())).more += 1

    def _write(self, due: list[tuple[Caller, AuditRecord]]) -> None:
        if not due:
            return
        try:
            self._db.run(partial(_append_all, due=due))
        except (SwallowtailError, SQLAlchemyError) as error:
            log.warning("denials_not_written", count=len(due), reason=str(error))


def _append_all(session: Session, due: list[tuple[Caller, AuditRecord]]) -> None:
    # Every transaction locks chains in this order.
    for caller, record in sorted(due, key=lambda pair: pair[1].scope):
        append(session, caller, [record], now())


def _count_record(kind: _Kind) -> AuditRecord:
    return replace(kind.record, detail={**kind.record.detail, "more": kind.more})
