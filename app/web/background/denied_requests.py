"""Writes denied requests to the audit log from a thread.

No response waits for it, over REST or Socket.IO. So response times do not reveal whether a hidden object exists; the
thread looks that up after the caller has got NotFound.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.audit.denied_requests import DeniedRequests
from swallowtail.app.core.audit.writer import SYSTEM_SCOPE
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import Forbidden, NotFound, SwallowtailError, Unauthenticated
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.core.queries.hidden_objects import KINDS, find_hidden_instance, find_instance
from swallowtail.app.core.security.actors import Caller

log = structlog.get_logger(__name__)

#: Most denied requests that wait for the database. Above it they are only counted.
BACKLOG = 1000


class DeniedRequestQueue:
    """The denied requests of one web process. Its thread starts with the first."""

    def __init__(self, db: Database, denials: DeniedRequests) -> None:
        self._db = db
        self._denials = denials
        self._waiting: queue.Queue[Callable[[], None]] = queue.Queue(BACKLOG)
        self._thread = PeriodicThread("denied_requests", self._write_waiting, lambda: denials.window)

    def note(self, refusal: SwallowtailError, caller: Caller, action: str, kind: str, object_id: str) -> None:
        """Enqueue a denied request; returns at once. Only refusals for lack of permission are written.

        `action` is the request, such as `subscribe_instance`; `kind` the kind of its object, such as `task`, or empty.
        """
        if isinstance(refusal, Unauthenticated):
            if refusal.is_of_token:
                # Not the refusal itself: it keeps its traceback alive.
                token_id, reason = refusal.token_id or "", refusal.message
                self._enqueue(lambda: self._write_token(caller, action, token_id, reason))
        elif isinstance(refusal, Forbidden):
            self._enqueue(lambda: self._write_forbidden(caller, action, kind, object_id))
        elif isinstance(refusal, NotFound) and kind in KINDS:
            self._enqueue(lambda: self._write_unseen(caller, action, kind, object_id))

    def close(self, timeout: float = 2.0) -> None:
        """Write what is queued, for at most `timeout` seconds, and end the thread."""
        if self._thread.is_running:
            written = threading.Event()
            with contextlib.suppress(queue.Full):
                self._waiting.put(written.set, timeout=timeout)
                self._thread.wake()
                written.wait(timeout)
        self._thread.stop()

    def _enqueue(self, write: Callable[[], None]) -> None:
        try:
            self._waiting.put_nowait(write)
        except queue.Full:
            self._denials.count_unwritten()
        self._thread.start()
        self._thread.wake()

    def _write_waiting(self) -> None:
        if self._thread.is_due:
            # A kind that no longer arrives has no other occasion to write its count.
            self._write(self._denials.write_due)
        with contextlib.suppress(queue.Empty):
            while True:
                self._write(self._waiting.get_nowait())

    def _write(self, write: Callable[[], None]) -> None:
        try:
            write()
        except (SwallowtailError, SQLAlchemyError) as error:
            log.warning("refusal_not_written", reason=str(error))
        except Exception:
            log.exception("refusal_failed")

    def _write_forbidden(self, caller: Caller, action: str, kind: str, object_id: str) -> None:
        with self._db.read() as session:
            scope = find_instance(session, kind, object_id)
        self._denials.note(caller, scope or SYSTEM_SCOPE, action, kind, object_id)

    def _write_unseen(self, caller: Caller, action: str, kind: str, object_id: str) -> None:
        with self._db.read() as session:
            scope = find_hidden_instance(session, caller.actor, kind, object_id)
        if scope is not None:
            self._denials.note(caller, scope, action, kind, object_id)

    def _write_token(self, caller: Caller, action: str, token_id: str, reason: str) -> None:
        scope = None
        if token_id:
            with self._db.read() as session:
                scope = find_instance(session, "token", token_id)
        self._denials.note_token(caller, scope or SYSTEM_SCOPE, action, token_id, reason)
