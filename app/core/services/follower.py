"""Follows the events of an instance, or of one task: yields every event once and in order, for the command line.

Events are read from the database. Redis messages announce them and carry live progress; without Redis the log is read
every `head_check` seconds, and only live progress is lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from swallowtail.app.core.call_context import CallContext
from swallowtail.app.core.errors import NotFound, Unavailable
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.publisher import instance_channel
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.redis.messages import LiveMessage, read_message
from swallowtail.app.core.redis.subscriber import WAIT, RedisSubscriber
from swallowtail.app.core.schemas.tasks import TaskView
from swallowtail.app.core.security.field_mask import view_of
from swallowtail.app.core.security.message_signing import MessageSigner
from swallowtail.app.core.states import TERMINAL, TaskStatus

#: Most events that one read of the log returns.
PAGE = 500


@dataclass(frozen=True, slots=True)
class LiveUpdate:
    """Progress inside a step: the payload of a `task_update` with `rev` instead of `seq`."""

    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reset:
    """The log does not continue from the cursor, as in the protocol's `reset`."""

    instance_id: str
    reason: Literal["epoch", "too_old"]


Item = EventRecord | LiveUpdate | Reset


@dataclass(frozen=True, slots=True)
class _EventPage:
    """One read of the log: the events after the cursor, and the cursor after them."""

    events: list[EventRecord]
    cursor: int
    epoch: str
    is_full: bool
    reset: Reset | None
    task: TaskView | None


class Follower:
    """Yields the events of an instance, or of one task, with numbers above `after`.

    `after` None means all stored events. Following one task ends when the task ends; `task` is then its last state.
    """

    def __init__(
        self, context: CallContext, instance_id: str, *, after: int | None = None, task_id: str | None = None
    ) -> None:
        self.task: TaskView | None = None
        #: Number of the latest event that was yielded or skipped; another follower can continue there.
        self.cursor = after or 0
        self._wants_all = after is None
        self._context = context
        self._instance_id = instance_id
        self._task_id = task_id
        self._view = view_of(context.caller.actor)
        settings = context.settings
        self._interval = min(settings.head_check, 1.0)
        self._channel = instance_channel(settings, instance_id)
        self._signer = MessageSigner(settings, is_strict=settings.strict_delivery)
        self._epoch: str | None = None
        #: The latest event of each task.
        self._latest: dict[str, int] = {}

    def items(self) -> Iterator[Item]:
        """Yield items until the followed task has ended, or forever. Each read checks the caller's permission.

        Raises:
            Unauthenticated, NotFound, Forbidden: see `require`.
            Unavailable: the database was down for `database_wait`.
        """
        subscriber = RedisSubscriber(self._context.settings, self._channel, wait=min(self._interval, WAIT))
        # Close the generator here: garbage collection would keep the connection open for longer.
        with closing(subscriber.replies(threading.Event())) as replies:
            while True:
                page = self._read_page()
                if page.reset is not None:
                    yield page.reset
                for event in page.events:
                    self._latest[event.task_id] = event.seq
                    yield event
                if page.task is not None and not page.is_full and TaskStatus(page.task["status"]) in TERMINAL:
                    return
                if not page.is_full:
                    yield from self._wait(replies)

    def _read_page(self) -> _EventPage:
        try:
            page: _EventPage = self._context.db.run(self._read, write=False)
        except DBAPIError as fault:
            raise Unavailable("the database is locked or unavailable") from fault
        self.cursor, self._epoch, self.task = page.cursor, page.epoch, page.task
        self._wants_all = False
        return page

    def _read(self, session: Session) -> _EventPage:
        reads = AuthorizedReads(session, self._context.caller.actor)
        head = reads.head(self._instance_id)
        task = None if self._task_id is None else reads.task(self._task_id)
        if task is not None and task["instance_id"] != self._instance_id:
            raise NotFound("there is no such task", field="task_id")
        reason = head.check(self._epoch, self.cursor)
        after = self.cursor if reason is None else head.min_seq
        reset = None
        if reason == "epoch" or (reason == "too_old" and not self._wants_all):
            reset = Reset(self._instance_id, reason)
        events = reads.events(self._instance_id, after, PAGE, self._task_id)
        is_full = len(events) == PAGE
        return _EventPage(events, events[-1].seq if is_full else head.seq, head.epoch, is_full, reset, task)

    def _wait(self, replies: Iterator[Any]) -> Iterator[LiveUpdate]:
        """Yield live progress until a message announces events, or until it is time to read the log without one."""
        until = time.monotonic() + self._interval
        while time.monotonic() < until:
            reply = next(replies)
            if reply is None or reply[0] != b"message":
                continue
            message = self._signer.unwrap(self._channel, reply[2])
            content = None if message is None else read_message(message, self._instance_id)
            if isinstance(content, LiveMessage):
                if self._is_current(content):
                    yield LiveUpdate(dict(self._view.project_wire(content.wire)))
            elif content is not None:
                return

    def _is_current(self, live: LiveMessage) -> bool:
        task_id = live.wire["task_id"]
        if live.wire["epoch"] != self._epoch or live.base_seq > self.cursor:
            return False
        if self._task_id not in (None, task_id) or not self._view.shows(task_id):
            return False
        # A later event of the task supersedes progress that was measured before it.
        return self._latest.get(task_id, 0) <= live.base_seq
