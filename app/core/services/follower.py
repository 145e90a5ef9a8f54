"""Following an instance from a program: the far end of the road for the CLI, as `delivery/hub` is for sockets.

The database's numbers are the truth. Redis says when to look, and carries live progress; without Redis the log is
looked at every `head_check`, and nothing is missed but live progress.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import redis
import structlog
from redis.client import PubSub
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import NotFound, Unavailable
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.publisher import connect, instance_channel
from swallowtail.app.core.queries.authorized import Sight
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.tasks import TaskView
from swallowtail.app.core.security.field_mask import view_of
from swallowtail.app.core.security.message_signing import Voucher
from swallowtail.app.core.states import TERMINAL, TaskStatus

log = structlog.get_logger(__name__)

#: Events that one look at the log reads at most.
PAGE = 500


@dataclass(frozen=True, slots=True)
class Live:
    """Progress inside a step: the payload of a `task_update` with `rev` instead of `seq`."""

    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reset:
    """The numbers do not go on from where the follower stood, as in the protocol's `reset`."""

    instance_id: str
    reason: Literal["epoch", "too_old"]


Item = EventRecord | Live | Reset


@dataclass(frozen=True, slots=True)
class _Page:
    """One look: the events after the cursor, where the cursor then stands, and what ends or breaks the following."""

    events: list[EventRecord]
    cursor: int
    epoch: str
    full: bool
    reset: Reset | None
    task: TaskView | None


class Follower:
    """Gives every event of an instance, or of one task, with numbers above `after`, in order and as they come.

    `after` None means: all that is stored. Following one task ends when the task has; `task` is then its last state.
    """

    def __init__(
        self, runtime: Runtime, instance_id: str, *, after: int | None = None, task_id: str | None = None
    ) -> None:
        self.task: TaskView | None = None
        #: Number of the latest event that is dealt with: where another follower would go on.
        self.cursor = after or 0
        self._asked_for_all = after is None
        self._runtime = runtime
        self._instance_id = instance_id
        self._task_id = task_id
        self._view = view_of(runtime.caller.actor)
        self._epoch: str | None = None
        self._latest: dict[str, int] = {}

    def items(self) -> Iterator[Item]:
        """Give items for ever, or until the task that is followed has ended.

        Whether the caller may is asked at every look.

        Raises:
            NotFound: there is no such instance, or no such task in it, or none for the caller.
            Unauthenticated, Forbidden: the caller may not.
            Unavailable: the database stayed away for `database_wait`.
        """
        hints = _Hints(self._runtime.settings, self._instance_id)
        try:
            while True:
                page = self._look()
                if page.reset is not None:
                    yield page.reset
                for event in page.events:
                    self._latest[event.task_id] = event.seq
                    yield event
                if page.task is not None and not page.full and TaskStatus(page.task["status"]) in TERMINAL:
                    return
                if not page.full:
                    yield from self._listen(hints)
        finally:
            hints.close()

    def _look(self) -> _Page:
        try:
            page: _Page = self._runtime.db.run(self._read, write=False)
        except DBAPIError as fault:
            raise Unavailable("the database is locked or away") from fault
        self.cursor, self._epoch, self.task = page.cursor, page.epoch, page.task
        self._asked_for_all = False
        return page

    def _read(self, session: Session) -> _Page:
        sight = Sight(session, self._runtime.caller.actor)
        head = sight.head(self._instance_id)
        task = None if self._task_id is None else sight.task(self._task_id)
        if task is not None and task["instance_id"] != self._instance_id:
            raise NotFound("there is no such task", field="task_id")
        after, reset = self.cursor, None
        if self._epoch not in (None, head.epoch) or after > head.seq:
            after, reset = head.min_seq, Reset(self._instance_id, "epoch")
        elif after < head.min_seq:
            after, reset = head.min_seq, None if self._asked_for_all else Reset(self._instance_id, "too_old")
        events = sight.events(self._instance_id, after, PAGE, self._task_id)
        full = len(events) == PAGE
        return _Page(events, events[-1].seq if full else head.seq, head.epoch, full, reset, task)

    def _listen(self, hints: _Hints) -> Iterator[Live]:
        """Give live progress until there is news in the log, or until it is time to look without being told."""
        until = time.monotonic() + min(self._runtime.settings.head_check, 1.0)
        while (left := until - time.monotonic()) > 0:
            message = hints.wait(left)
            if message is None:
                continue
            if message.get("kind") != "live":
                return
            live = message["live"]
            if live.get("epoch") != self._epoch or message["base_seq"] > self.cursor:
                continue
            if self._task_id not in (None, live["task_id"]):
                continue
            if not self._view.shows(live["task_id"]):
                continue
            # A later event of the task says more than what was measured before it.
            if self._latest.get(live["task_id"], 0) <= message["base_seq"]:
                yield Live(dict(self._view.project_wire(live)))


class _Hints:
    """What an instance's channel says, and silence while Redis is away."""

    def __init__(self, settings: Settings, instance_id: str) -> None:
        self._settings = settings
        self._channel = instance_channel(settings, instance_id)
        self._voucher = Voucher(settings, is_strict=settings.strict_delivery)
        self._client: redis.Redis | None = None
        self._pubsub: PubSub | None = None

    def wait(self, seconds: float) -> dict[str, Any] | None:
        """Return the next message, or None after at most `seconds` or so without one."""
        try:
            message = self._subscribed().get_message(ignore_subscribe_messages=True, timeout=seconds)
            told = None if message is None else self._voucher.unwrap(self._channel, message["data"])
            found = None if told is None else orjson.loads(told)
        except (redis.RedisError, OSError) as fault:
            log.info("hints_away", reason=str(fault))
            self.close()
            time.sleep(seconds)
            return None
        except orjson.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None

    def close(self) -> None:
        """Close the connection; the next `wait` opens another."""
        pubsub, self._pubsub = self._pubsub, None
        client, self._client = self._client, None
        try:
            if pubsub is not None:
                pubsub.close()
            if client is not None:
                client.close()
        except (redis.RedisError, OSError):
            pass

    def _subscribed(self) -> PubSub:
        if self._pubsub is None:
            self._client = connect(self._settings)
            self._pubsub = self._client.pubsub()  # type: ignore[no-untyped-call]
            self._pubsub.subscribe(self._channel)
        return self._pubsub
