"""Reads heads, events, subscription starts and permissions from the database, waiting only briefly for it."""

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
from swallowtail.app.core.process.offload import Offload, run_here
from swallowtail.app.core.queries.snapshot import SnapshotLimits, read_snapshot_rows
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.core.security.permission_version import read_version
from swallowtail.app.core.security.permissions import require, require_task
from swallowtail.app.core.security.roles import Act
from swallowtail.app.core.security.visibility import find_readable
from swallowtail.app.delivery.wire import Since, SubscriptionStart

#: Most events in one page.
PAGE = 200
#: Longest wait for a locked or absent database, in seconds.
LONGEST_WAIT = 2.0
#: Most instances in one query for heads; SQLite limits the number of parameters.
HEADS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, and the log's head at the same moment; None when the instance does not exist."""

    head: Head | None
    events: list[EventRecord]


class DatabaseReader:
    """The reads of one web process. Every method raises Unavailable when the database stays unavailable."""

    def __init__(self, db: Database, settings: Settings, offload: Offload = run_here) -> None:
        """`offload` encodes snapshots."""
        self._db = db
        self._settings = settings
        self._offload = offload

    def read_page(self, instance_id: str, after: int) -> Page:
        """Return the first events after a number."""
        with self._reading() as session:
            return Page(read_head(session, instance_id), read_events(session, instance_id, after, PAGE))

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        """Return the heads of the instances that exist."""
        heads: dict[str, Head] = {}
        with self._reading() as session:
            for start in range(0, len(instance_ids), HEADS_PER_QUERY):
                heads |= read_heads(session, instance_ids[start : start + HEADS_PER_QUERY])
        return heads

    def read_start(self, instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        """Return how the subscription of a client starts. Raises NotFound when the instance does not exist."""
        with self._reading() as session:
            head = read_head(session, instance_id)
            if head is None:
                raise NotFound("there is no such instance", field="instance_id")
            if since is None:
                return SubscriptionStart(instance_id, "live", head, head.seq)
            if self.can_replay(head, since):
                return SubscriptionStart(instance_id, "replay", head, since.seq)
            read = read_snapshot_rows(session, instance_id, SnapshotLimits.of(self._settings), view.task_id)
        return SubscriptionStart(instance_id, "snapshot", head, head.seq, self._offload(read.encode, view))

    def authorize_instance(self, actor: Actor, instance_id: str) -> int:
        """Raise as `permissions.require` does unless an actor may read an instance; returns the permission version."""
        with self._reading() as session:
            # Read first: a change in between makes the decision look older than it is, not newer.
            version = read_version(session)
            require(session, actor, Act.READ, instance_id)
        return version

    def authorize_task(self, actor: Actor, task_id: str) -> str:
        """Raise as `permissions.require_task` does unless an actor may read a task; returns the task's instance."""
        with self._reading() as session:
            return require_task(session, actor, Act.READ, task_id)

    def read_permission_version(self) -> int:
        """Return the present permission version."""
        with self._reading() as session:
            return read_version(session)

    def find_unreadable(self, pairs: Collection[tuple[Actor, str]]) -> set[tuple[Actor, str]]:
        """Return those pairs of an actor and an instance in which the actor may not read the instance."""
        with self._reading() as session:
            return set(pairs) - find_readable(session, pairs)

    def can_replay(self, head: Head, since: Since) -> bool:
        """Return whether every event after a position can be replayed."""
        return head.check(since.epoch, since.seq) is None and head.seq - since.seq <= self._settings.replay_limit

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        try:
            with self._db.read(wait=LONGEST_WAIT) as session:
                yield session
        except PoolTimeout as busy:
            raise Unavailable("the database is busy") from busy
        except DBAPIError as fault:
            if not is_transient(fault):
                raise
            raise Unavailable("the database is locked or unavailable") from fault
