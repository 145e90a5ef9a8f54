"""Stop 5 of 12: The relay sends a Celery message for each due entry of the outbox.

An entry stays until its task is claimed. It is sent at least once: reserved, sent, and then marked. If a relay dies in
between, the reservation lapses and another relay sends again; a claim ignores the second message. Messages that the
broker lost are sent again: within seconds if its queue is empty, otherwise when their entries are due again.
"""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import structlog
from celery import Celery
from kombu import Queue
from prometheus_client import Counter
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.config.tls import read_address
from swallowtail.app.core.coordination.periodic_lock import acquire_periodic_lock
from swallowtail.app.core.database.database import Database, db_now, db_now_once
from swallowtail.app.core.ledger.tasks import TaskWriter
from swallowtail.app.core.process.outage import OutageLog
from swallowtail.app.core.security.message_signing import MessageSigner, wakeup
from swallowtail.app.core.tables.tasks import Outbox, Task
from swallowtail.app.core.tables.unreadable import isolate

log = structlog.get_logger(__name__)
_outage = OutageLog(log, "queue_depth_unknown", "queue_depth_known")

#: Name of the one Celery task; its arguments are `[task_id, attempt]`, and a signature where messages are signed.
RUN_TASK = "swallowtail.run"

SENT = Counter("swallowtail_wakeups_sent_total", "Wake-up messages sent to the broker")
SEND_FAILURES = Counter("swallowtail_wakeup_failures_total", "Wake-up messages that the broker did not take")

#: How long one relay reserves an entry: longer than a send may take, and a short delay after a crash.
RESERVE_SECONDS = 5.0
#: Name of the periodic lock of reading the queue's depth.
DEPTH_LOCK = "queue"
#: Messages in the queue above which the relay does not count missing ones, which takes time for each.
LONG_QUEUE = 1000
#: When to send again what the broker did not accept.
RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """An entry that this relay has reserved."""

    task_id: str
    attempt: int
    sends: int
    soft_time_limit: float | None
    hard_time_limit: float | None


def make_sender(settings: Settings) -> Celery:
    """Return a Celery application that only sends, and fails quickly."""
    sender = Celery("swallowtail-relay", set_as_current=False)
    sender.conf.update(broker_settings(settings))
    # Kombu would retry after two seconds, while the submission waits; the next sweep retries instead.
    sender.conf.broker_transport_options = {**sender.conf.broker_transport_options, "max_retries": 0}
    return sender


def broker_settings(settings: Settings) -> dict[str, Any]:
    """Return the Celery settings that senders and workers share (design decision 7)."""
    limit = settings.send_timeout
    redis_like = not settings.broker.startswith(("amqp", "pyamqp"))
    address = read_address(settings.broker)
    options = {"socket_timeout": limit, "socket_connect_timeout": limit} if redis_like else {"connect_timeout": limit}
    return {
        "broker_url": address.url,
        "broker_use_ssl": address.redis_tls if redis_like else address.amqp_tls,
        "broker_connection_timeout": limit,
        "broker_transport_options": options,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_default_queue": settings.queue,
        # Not the name of the queue, so that a permission to bind to the exchange is none to read the queue.
        "task_default_exchange": f"{settings.queue}.direct",
        "task_ignore_result": True,
        "task_publish_retry": False,
    }


def read_depth(settings: Settings, sender: Celery) -> int | None:
    """Return how many messages are in the broker's queue; None if it does not respond."""
    try:
        with sender.connection_for_write() as connection, connection.channel() as channel:
            # Kombu's channels have no common type for it. `passive`: without creating the queue.
            state = cast(Any, channel).queue_declare(queue=settings.queue, passive=True)
            depth = int(state.message_count)
    except Exception as fault:
        # Every transport has errors of its own. A missing queue is an empty one: Redis deletes those.
        if str(getattr(fault, "reply_code", "")) == "404":
            depth = 0
        else:
            _outage.begin(fault)
            return None
    _outage.end()
    return depth


class Relay:
    """Sends due entries for one process."""

    def __init__(self, settings: Settings, db: Database, tasks: TaskWriter, sender: Celery | None = None) -> None:
        self._settings = settings
        self._db = db
        self._tasks = tasks
        self._sender = sender or make_sender(settings)
        self._signer = MessageSigner(settings, is_strict=settings.sign_messages)
        #: How many messages were in the broker's queue at `read_at`; None if it did not respond.
        self.depth: int | None = None
        #: When `update_depth` read the depth, in seconds of the monotonic clock.
        self.read_at: float | None = None
        #: When it last refused a message that no accepted one followed, by the same clock.
        self._refused_at = -math.inf

    @property
    def is_broker_away(self) -> bool:
        """Whether the broker did not respond last time, or has just refused a message; False before the first time."""
        is_silent = self.read_at is not None and self.depth is None
        return is_silent or time.monotonic() < self._refused_at + self._settings.broker_check

    def run_due(self, limit: int = 100) -> int:
        """Send due entries, oldest first, until one cannot be sent. Return how many messages the broker accepted."""
        entries = self._reserve(limit)
        for number, entry in enumerate(entries):
            if not self._send(entry):
                self._db.run(partial(_give_back, entries=entries[number:]))
                return number
            mark = partial(self._tasks.mark_queued, entry.task_id, entry.attempt, self._resend_after(entry.sends))
            isolate(entry.task_id, mark)
        return len(entries)

    def find_lost(self) -> int:
        """Make unclaimed entries that were sent `resend_idle` ago due if the broker's queue is empty. Returns how many.

        The broker has lost these messages. (RabbitMQ's workers may prefetch one for each of their runs; a second
        message for these is harmless.)
        """
        sent_entries = (Outbox.sends > 0, Outbox.sent_at <= db_now_once(-self._settings.resend_idle))
        with self._db.read() as session:
            if session.scalar(select(Outbox.task_id).where(*sent_entries).limit(1)) is None:
                return 0
        if not acquire_periodic_lock(self._db, DEPTH_LOCK, self._settings.sweep_interval) or self._read_depth() != 0:
            return 0
        # As if they were never sent: no message of them is left.
        again = update(Outbox).where(*sent_entries).values(sends=0, sent_at=None, available_at=db_now())
        again = again.returning(Outbox.task_id).execution_options(synchronize_session=False)
        count = len(self._db.run(lambda session: session.scalars(again).all()))
        log.warning("wakeups_lost", number=count)
        return count

    def update_depth(self) -> None:
        """Read the depth of the broker's queue every `broker_check` seconds, for readiness and metrics."""
        now = time.monotonic()
        if self.read_at is None or now >= self.read_at + self._settings.broker_check:
            self.depth = self._read_depth()
            self.read_at = now

    def close(self) -> None:
        """Close the connection to the broker."""
        self._sender.close()

    def _reserve(self, limit: int) -> list[OutboxEntry]:
        with self._db.read() as session:
            if session.scalar(select(Outbox.task_id).where(Outbox.available_at <= db_now_once()).limit(1)) is None:
                return []
        reserved: list[OutboxEntry] = self._db.run(lambda session: self._reserve_rows(session, limit))
        fresh = [entry for entry in reserved if entry.sends == 0]
        repeats = [entry for entry in reserved if entry.sends > 0]
        # Workers take the oldest messages first, so the lost ones are most likely among the oldest entries.
        return fresh + (repeats[: self._count_missing(len(repeats))] if repeats else [])

    def _reserve_rows(self, session: Session, limit: int) -> list[OutboxEntry]:
        due = (
            select(Outbox.task_id, Outbox.attempt, Outbox.sends, Task.soft_time_limit, Task.hard_time_limit)
            .join(Task, Task.id == Outbox.task_id)
            .where(Outbox.available_at <= db_now_once())
            .order_by(Outbox.available_at)
            .limit(limit)
            .with_for_update(skip_locked=True, of=Outbox)
        )
        entries = []
        for row in session.execute(due).all():
            entries.append(OutboxEntry(*row))
            pause = self._resend_after(row.sends) if row.sends else RESERVE_SECONDS
            session.execute(
                update(Outbox)
                .where(Outbox.task_id == row.task_id)
                .values(available_at=db_now(pause))
                .execution_options(synchronize_session=False)
            )
        return entries

    def _resend_after(self, sends: int) -> float:
        return min(self._settings.resend_after * 2.0 ** min(sends, 32), self._settings.resend_max)

    def _count_missing(self, most: int) -> int:
        """Return how many more messages were sent for unclaimed entries than the broker has; about `most` at most.

        All messages of an entry count: otherwise a repeated one would conceal that another is missing.
        """
        depth = self._read_depth() or 0
        if depth > LONG_QUEUE:
            # No worker is idle, and a new message would wait behind all of these. One, so that no entry waits for ever.
            return 1
        # Each entry has one message at least. The comparison uses the index, which "is not null" would not.
        sent_entries = (Outbox.sent_at > datetime.fromtimestamp(0, UTC), Outbox.sends > 0)
        sends = select(Outbox.sends).where(*sent_entries).limit(depth + most).subquery()
        with self._db.read() as session:
            number = session.scalar(select(func.sum(sends.c.sends))) or 0
        return max(int(number) - depth, 0)

    def _read_depth(self) -> int | None:
        return read_depth(self._settings, self._sender)

    def _send(self, entry: OutboxEntry) -> bool:
        try:
            name = str(uuid.uuid4())
            limits = choose_limits(self._settings, entry.soft_time_limit, entry.hard_time_limit)
            self._sender.send_task(
                RUN_TASK,
                args=self._make_arguments(entry, name, limits),
                task_id=name,
                queue=self._settings.queue,
                # To the queue by its name, without an exchange: any client of Redis can change bindings.
                declare=[Queue(self._settings.queue)],
                time_limit=limits[0],
                soft_time_limit=limits[1],
                retry=False,
                ignore_result=True,
            )
        except Exception as fault:
            # Kombu wraps temporary errors; others, such as a wrong password, are errors of the transport.
            SEND_FAILURES.inc()
            self._refused_at = time.monotonic()
            log.warning("wakeup_not_sent", task_id=entry.task_id, reason=f"{type(fault).__name__}: {fault}")
            return False
        SENT.inc()
        self._refused_at = -math.inf
        if self.depth is None:
            # It responds again: its depth is due to be read.
            self.read_at = None
        return True

    def _make_arguments(self, entry: OutboxEntry, name: str, limits: tuple[int, int]) -> list[str | int]:
        arguments: list[str | int] = [entry.task_id, entry.attempt]
        if self._signer.is_strict:
            arguments.append(self._signer.sign(RUN_TASK, wakeup(entry.task_id, entry.attempt, name, limits)))
        return arguments


def choose_limits(usual: Settings, soft: float | None, hard: float | None) -> tuple[int, int]:
    """Return the hard and the soft limit in seconds, in order even if the agent has only one of them."""
    soft = soft or usual.soft_time_limit
    hard = hard or max(usual.hard_time_limit, soft + usual.hard_time_limit - usual.soft_time_limit)
    return math.ceil(hard), math.ceil(min(soft, hard))


def _give_back(session: Session, entries: list[OutboxEntry]) -> None:
    """Make entries that could not be sent due again soon, for any relay."""
    for entry in sorted(entries, key=lambda entry: entry.task_id):
        # Only this attempt: the message may have arrived nevertheless, and the next entry has its own delay.
        session.execute(
            update(Outbox)
            .where(Outbox.task_id == entry.task_id, Outbox.attempt == entry.attempt)
            .values(available_at=db_now(RETRY_SECONDS))
            .execution_options(synchronize_session=False)
        )
