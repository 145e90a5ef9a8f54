"""What somebody was refused, on its way into the audit log: taken at once, written by a thread. Before the road.

Nobody's answer waits for it, in REST as over Socket.IO. So nobody can tell by the time that an answer takes whether
what they may not see is there; whether it is, and whose it is, is found out here, once they were told that it is not.
"""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.audit.denied_requests import Denials
from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import Forbidden, NotFound, SwallowtailError, Unauthenticated
from swallowtail.app.core.queries.hidden_objects import KINDS, find_scope, find_unseen
from swallowtail.app.core.security.permissions import Caller
from swallowtail.app.web.background.lazy_thread import LazyThread

log = structlog.get_logger(__name__)

#: DeniedRequestQueue that may wait for the database. Beyond it they are counted, and told as one.
BACKLOG = 1000


class DeniedRequestQueue:
    """The refusals of one web process. Its thread begins with the first."""

    def __init__(self, db: Database, denials: Denials) -> None:
        self._db = db
        self._denials = denials
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(BACKLOG)
        self._thread = LazyThread("refusals", self._write_forever)

    def note(self, refusal: SwallowtailError, caller: Caller, act: str, kind: str, object_id: str) -> None:
        """Take why somebody did not get what they asked for; returns at once.

        Args:
            refusal: what they were told. Only what is for want of rights is written down.
            caller: who asked.
            act: what for, such as `subscribe_instance`.
            kind: what kind of thing it was about, such as `task`; empty for none.
            object_id: its id, as they gave it.
        """
        if isinstance(refusal, Unauthenticated):
            if refusal.is_of_token:
                # Not the refusal itself, which holds on to where it was raised.
                token_id, why = refusal.token_id or "", refusal.message
                self._leave(lambda: self._write_token(caller, act, token_id, why))
        elif isinstance(refusal, Forbidden):
            self._leave(lambda: self._write_forbidden(caller, act, kind, object_id))
        elif isinstance(refusal, NotFound) and kind in KINDS:
            self._leave(lambda: self._write_unseen(caller, act, kind, object_id))

    def close(self, timeout: float = 2.0) -> None:
        """Write what waits, for at most `timeout` seconds, and end the thread; another refusal begins a new one."""
        self._thread.end(lambda: self._tell_end(timeout), timeout)

    def _tell_end(self, timeout: float) -> None:
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=timeout)

    def _leave(self, write: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(write)
        except queue.Full:
            self._denials.count_unwritten()
        self._thread.begin()

    def _write_forever(self) -> None:
        while True:
            try:
                write = self._waiting.get(timeout=self._denials.window)
            except queue.Empty:
                # Nobody comes any more: what was counted is told now.
                write = self._denials.tell_due
            if write is None:
                return
            try:
                write()
            except (SwallowtailError, SQLAlchemyError) as fault:
                log.warning("refusal_not_written", reason=str(fault))
            except Exception:
                log.exception("refusal_failed")

    def _write_forbidden(self, caller: Caller, act: str, kind: str, object_id: str) -> None:
        with self._db.read() as session:
            scope = find_scope(session, kind, object_id)
        self._denials.note(caller, scope or SYSTEM_SCOPE, act, kind, object_id)

    def _write_unseen(self, caller: Caller, act: str, kind: str, object_id: str) -> None:
        with self._db.read() as session:
            scope = find_unseen(session, caller.actor, kind, object_id)
        if scope is not None:
            self._denials.note(caller, scope, act, kind, object_id)

    def _write_token(self, caller: Caller, act: str, token_id: str, why: str) -> None:
        scope = None
        if token_id:
            with self._db.read() as session:
                scope = find_scope(session, "token", token_id)
        self._denials.note_token(caller, scope or SYSTEM_SCOPE, act, token_id, why)
