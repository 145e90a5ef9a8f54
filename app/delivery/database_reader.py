"""What delivery reads from the database: heads, pages of events, and the beginning of a subscription. Reads only.

On the road this is how `delivery/hub` gets what no hint has brought. Patience is short: while the database is away,
everything that arrives by hints is still delivered, and what is missing is asked for again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.database.faults import is_transient
from swallowtail.app.core.errors import NotFound, Unavailable
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.event_log import Head, read_events, read_head, read_heads
from swallowtail.app.core.process.worker_thread import Offload, here
from swallowtail.app.core.queries.snapshot import Bounds, read_outline
from swallowtail.app.core.security.field_mask import FULL, View
from swallowtail.app.core.security.permission_version import read_version
from swallowtail.app.core.security.permissions import Act, Actor, find_readable, require, require_task
from swallowtail.app.delivery.wire import Answer, Since

#: Events in one page.
PAGE = 200
#: Longest that a read waits for a locked or absent database, in seconds.
PATIENCE = 2.0
#: Most instances in one question for heads; SQLite has a limit on parameters.
HEADS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, and where the log stood at the same moment; no head when the instance is gone."""

    head: Head | None
    events: list[EventRecord]


class Archive:
    """One web process's view of the log. Every method raises Unavailable when the database stays away."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings
        #: A process of greenlets puts its thread pool here (`app/wsgi.py`): a large snapshot would stop all of them.
        self.offload: Offload = here

    def read_page(self, instance_id: str, after: int) -> Page:
        """Return the first events after a number."""
        with self._reading() as session:
            return Page(read_head(session, instance_id), read_events(session, instance_id, after, PAGE))

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        """Return the heads of those instances that exist."""
        heads: dict[str, Head] = {}
        with self._reading() as session:
            for start in range(0, len(instance_ids), HEADS_AT_ONCE):
                heads |= read_heads(session, instance_ids[start : start + HEADS_AT_ONCE])
        return heads

    def read_answer(self, instance_id: str, since: Since | None) -> Answer:
        """Return how a subscription begins. Raises NotFound when there is no such instance."""
        return self.read_answer_for(FULL, instance_id, since)

    def read_answer_for(self, view: View, instance_id: str, since: Since | None) -> Answer:
        """Return how the subscription of a client with a view begins. Raises as `read_answer` does."""
        with self._reading() as session:
            head = read_head(session, instance_id)
            if head is None:
                raise NotFound("there is no such instance", field="instance_id")
            if since is None:
                return Answer(instance_id, "live", head, head.seq)
            if self.can_replay(head, since):
                return Answer(instance_id, "replay", head, since.seq)
            read = read_outline(session, instance_id, Bounds.of(self._settings), view.task_id)
        return Answer(instance_id, "snapshot", head, head.seq, self.offload(read.encode, view))

    def allow_watch(self, actor: Actor, instance_id: str) -> int:
        """Let somebody watch an instance, or raise as `access.require` does; returns the present access version."""
        with self._reading() as session:
            # Before the rest: a change in between makes the answer look older than it is, not newer.
            version = read_version(session)
            require(session, actor, Act.READ, instance_id)
        return version

    def allow_text(self, actor: Actor, task_id: str) -> str:
        """Let somebody read a task's text, or raise as `access.require_task` does; returns the task's instance."""
        with self._reading() as session:
            return require_task(session, actor, Act.READ, task_id)

    def read_access_version(self) -> int:
        """Return the present access version."""
        with self._reading() as session:
            return read_version(session)

    def find_unreadable(self, pairs: Collection[tuple[Actor, str]]) -> set[tuple[Actor, str]]:
        """Return those of the pairs of somebody and an instance in which they may not read it (any more)."""
        with self._reading() as session:
            return set(pairs) - find_readable(session, pairs)

    def can_replay(self, head: Head, since: Since) -> bool:
        """Tell whether everything after a position can be sent, as the log stands."""
        inside = head.min_seq <= since.seq <= head.seq
        return since.epoch == head.epoch and inside and head.seq - since.seq <= self._settings.replay_limit

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        try:
            with self._db.read(wait=PATIENCE) as session:
                yield session
        except PoolTimeout as busy:
            raise Unavailable("the database is busy") from busy
        except DBAPIError as fault:
            if not is_transient(fault):
                raise
            raise Unavailable("the database is locked or away") from fault
