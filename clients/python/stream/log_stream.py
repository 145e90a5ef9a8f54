"""The flow of a stream: each event once and in order, by Socket.IO, or by REST while that is impossible."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ..errors import ApiError, ConnectionFailed, NotFound, TooFast, Unavailable
from ..log_position import Since
from ..rest import calls
from ..rest.calls import Call
from ..rest.flows import Begun, Deliver, Flow, Session, Sleep, perform
from ..rest.results import Event, LiveUpdate, Reset, Task
from .outage import Outage, ReportConnection

if TYPE_CHECKING:
    from .feed import Feed

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Failures that may pass.
PASSING = (ConnectionFailed, Unavailable, TooFast)
#: Seconds without a websocket after which the log is read by REST, and between two such reads.
FALLBACK_AFTER, POLL_EVERY = 5.0, 2.0
#: Seconds before another subscription when the server refused one that REST allows.
REOPEN_AFTER = 1.0
#: Seconds that one read by REST may take while the websocket is away.
_POLL_TIMEOUT = 10.0
#: Tasks whose text a stream of a whole instance follows at once. A connection has 100 subscriptions by default.
_MOST_TEXTS = 50


@dataclass(frozen=True)
class OpenFeed:
    """Begin to receive events by Socket.IO; the answer is a Feed."""

    instance: str
    since: Since
    live: bool


@dataclass(frozen=True)
class Take:
    """Wait for the next item of a feed; the answer is None if none comes within `timeout` seconds."""

    feed: Feed
    timeout: float


@dataclass(frozen=True)
class Subject:
    """What a stream is about."""

    instance: str
    task: str | None = None
    live: bool = False
    #: The monotonic time at which the stream ends with TimeoutError.
    deadline: float | None = None
    #: Called when the server is away, and when it is back.
    on_connection: ReportConnection | None = None


#: Where a stream continues: after an event, or after the event of a number, in the present log or in that of an epoch.
Position = int | Since | Event


def deliver_log(session: Session, subject: Subject, since: Position | None) -> Flow[None]:
    """Deliver events, live updates and resets. A stream of one task ends when the task has ended."""
    stream = LogStream(session, subject)
    yield from stream.begin(since)
    yield Begun()
    if subject.task is not None:
        yield from stream.read_stored()
        yield from stream.check_end()
    while not stream.has_ended:
        yield from stream.follow()


def late_task(task_id: str | None) -> TimeoutError:
    """Return the error for a task that has not ended before the deadline."""
    return TimeoutError(f"task {task_id} has not ended in time")


@dataclass
class LogStream:
    """The position of one stream, and whether its task has ended."""

    session: Session
    subject: Subject
    epoch: str = ""
    seq: int = 0
    has_ended: bool = False
    #: Whether failures that may pass do not end the stream any more.
    _is_following: bool = False
    _resets: int = 0
    _texts: set[str] = field(default_factory=set)
    _outage: Outage = field(init=False)

    def __post_init__(self) -> None:
        self._outage = Outage(self.subject.on_connection)

    def begin(self, since: Position | None) -> Flow[None]:
        """Find the first position: `since`, or the beginning of the task, or now."""
        self.epoch, head = yield from self._perform(calls.read_instance(self.subject.instance), None)
        if isinstance(since, Event):
            self.epoch, self.seq = since.epoch, since.seq
        elif isinstance(since, dict):
            self.epoch, self.seq = since["epoch"], since["seq"]
        elif since is not None:
            self.seq = since
        elif self.subject.task is None:
            self.seq = head

    def read_stored(self, timeout: float | None = None) -> Flow[None]:
        """Deliver the stored events up to the head by REST."""
        while True:
            params = {"since": self.seq, "epoch": self.epoch, "task_id": self.subject.task}
            try:
                page = yield from self._perform(calls.read_events(self.subject.instance, params), timeout)
            except ApiError as error:
                if error.status != 410:
                    raise
                snapshot = calls.read_snapshot(self.subject.instance)
                yield from self._reset((yield from self._perform(snapshot, None)))
                return
            for event in page.events:
                yield from self._apply(event, is_history=True)
            self.epoch, self.seq = page.epoch, page.next_since
            if page.is_last:
                return

    def check_end(self, timeout: float | None = None) -> Flow[None]:
        """Find out whether the task ended before this position. Raises NotFound."""
        task = yield from self._read_task(timeout)
        self.has_ended = task.is_final and task.last_seq <= self.seq

    def follow(self) -> Flow[None]:
        """Deliver what follows by Socket.IO, until the task has ended or another subscription is necessary."""
        self._is_following = True
        feed: Feed = yield OpenFeed(self.subject.instance, Since(epoch=self.epoch, seq=self.seq), self.subject.live)
        try:
            yield from self._begin_texts(feed)
            yield from self._receive(feed)
        finally:
            feed.close()

    def _receive(self, feed: Feed) -> Flow[None]:
        quiet_since = time.monotonic()
        while not self.has_ended:
            item = yield Take(feed, self._choose_timeout())
            now = time.monotonic()
            self._outage.look_at(feed)
            if item is not None:
                quiet_since = now
                if isinstance(item, Event | LiveUpdate):
                    yield from self._apply(item, feed=feed)
                elif isinstance(item, Reset):
                    yield from self._reset(item)
                else:
                    log.info("the subscription to %s was refused: %s", self.subject.instance, item.code)
                    yield from self._check_access()
                    return
            elif self.subject.deadline is not None and now >= self.subject.deadline:
                raise late_task(self.subject.task)
            elif feed.is_live:
                quiet_since = now
            elif now - quiet_since >= FALLBACK_AFTER and (yield from self._poll()):
                return

    def _poll(self) -> Flow[bool]:
        """Read the log by REST, since the websocket is away. Returns whether the feed has to begin anew."""
        resets = self._resets
        try:
            yield from self.read_stored(_POLL_TIMEOUT)
            if self.subject.task is not None:
                yield from self.check_end(_POLL_TIMEOUT)
            self._outage.end()
        except PASSING as fault:
            self._outage.begin(str(fault))
            log.info("no events of %s at present: %s", self.subject.instance, fault)
        return resets != self._resets

    def _check_access(self) -> Flow[None]:
        """Raise the error of REST for a refused subscription; where REST has none, read on by REST."""
        yield from self._perform(calls.read_instance(self.subject.instance), None)
        yield Sleep(REOPEN_AFTER)
        yield from self._poll()

    def _apply(self, item: Event | LiveUpdate, *, feed: Feed | None = None, is_history: bool = False) -> Flow[None]:
        """Deliver an item that belongs to the stream and is new."""
        if isinstance(item, Event):
            if item.epoch == self.epoch and item.seq <= self.seq:
                return
            self.epoch, self.seq = item.epoch, item.seq
        if self.subject.task not in (None, item.task_id):
            return
        if isinstance(item, Event):
            if feed is not None:
                self._follow_text(feed, item)
            # In the history, a task that was retried ends more than once.
            self.has_ended = self.subject.task is not None and item.ends_task and not is_history
        yield Deliver(item)

    def _reset(self, reset: Reset) -> Flow[None]:
        """Deliver the present state, of the stream's task alone if it has one."""
        if reset.epoch == self.epoch and reset.head == self.seq:
            return
        self._resets += 1
        self.epoch, self.seq = reset.epoch, reset.head
        if self.subject.task is not None:
            # A snapshot lists the latest tasks only.
            task = yield from self._read_task()
            self.seq = max(self.seq, task.last_seq)
            self.has_ended = task.is_final
            reset = Reset(reset.instance_id, reset.epoch, reset.head, (task,), reset.raw)
        yield Deliver(reset)

    def _begin_texts(self, feed: Feed) -> Flow[None]:
        if not self.subject.live:
            return
        running = {self.subject.task} if self.subject.task is not None else self._texts
        if self.subject.task is None and not running:
            path, params = calls.tasks_path(self.subject.instance), {"status": "IN_PROGRESS", "limit": _MOST_TEXTS}
            ids, _ = yield from self._perform(calls.read_page(path, params, lambda task: task["id"]), None)
            running.update(ids)
        for task_id in running:
            feed.subscribe_task(task_id)

    def _follow_text(self, feed: Feed, event: Event) -> None:
        if not self.subject.live or self.subject.task is not None or event.type != "task_update":
            return
        if event.status == "IN_PROGRESS" and len(self._texts) < _MOST_TEXTS and event.task_id not in self._texts:
            self._texts.add(event.task_id)
            feed.subscribe_task(event.task_id)
        elif event.ends_task and event.task_id in self._texts:
            self._texts.discard(event.task_id)
            feed.unsubscribe_task(event.task_id)

    def _read_task(self, timeout: float | None = None) -> Flow[Task]:
        task = yield from self._perform(calls.read_task(str(self.subject.task)), timeout)
        if task.instance_id != self.subject.instance:
            raise NotFound("not_found", "there is no such task in this instance", "task_id", 404)
        return task

    def _perform(self, call: Call[T], timeout: float | None) -> Flow[T]:
        """Perform a call; without a timeout, again and again once the stream has begun."""
        while True:
            deadline = self.subject.deadline
            if timeout is not None:
                limit = time.monotonic() + timeout
                deadline = limit if deadline is None else min(limit, deadline)
            try:
                return (yield from perform(self.session, call, deadline))
            except PASSING as fault:
                is_late = self.subject.deadline is not None and time.monotonic() >= self.subject.deadline
                if timeout is not None or is_late or not self._is_following:
                    raise
                self._outage.begin(str(fault))
                log.info("no answer about %s at present: %s", self.subject.instance, fault)
            yield Sleep(POLL_EVERY)

    def _choose_timeout(self) -> float:
        deadline = self.subject.deadline
        return POLL_EVERY if deadline is None else max(min(POLL_EVERY, deadline - time.monotonic()), 0.0)
