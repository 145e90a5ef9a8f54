"""Stop 5 of 12: The relay, which turns entries in the outbox into Celery messages.

An entry stays until its task is claimed. Sending is at least once: an entry is reserved, sent, and only then marked;
a relay that dies in between lets the reservation lapse and another sends again, and a claim ignores the second message.
A message that the broker lost is noticed because its entry is still there: within seconds when the queue is empty, so
that no worker is idle while something waits, and otherwise when it comes up for doubt.
"""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

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
from swallowtail.app.core.security.message_signing import MessageSigner, wakeup
from swallowtail.app.core.tables.tasks import Outbox, Task
from swallowtail.app.core.tables.unreadable import alone

log = structlog.get_logger(__name__)

#: Name of the one Celery task; its arguments are `[task_id, attempt]`, and the mark of `core/security/message_signing` where it is set.
RUN_TASK = "swallowtail.run"

SENT = Counter("swallowtail_wakeups_sent_total", "Wake-up messages handed to the broker")
SEND_FAILURES = Counter("swallowtail_wakeup_failures_total", "Wake-up messages that the broker did not take")

#: How long one relay has an entry for itself. Longer than a send may take, short enough to be no delay after a crash.
RESERVE_SECONDS = 5.0
#: The name of the turn at asking for the queue's depth.
DUTY = "queue"
#: Messages in the queue above which the relay does not count missing ones: counting takes time for each.
LONG_QUEUE = 1000
#: When to try again what the broker did not take.
GIVE_BACK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One entry that this relay has reserved."""

    task_id: str
    attempt: int
    sends: int
    soft_time_limit: float | None
    hard_time_limit: float | None


def make_sender(settings: Settings) -> Celery:
    """Return a Celery application that can only send, quickly or not at all."""
    sender = Celery("swallowtail-relay", set_as_current=False)
    sender.conf.update(broker_settings(settings))
    # Kombu would try again after two seconds; the next sweep does so without making the submission wait.
    sender.conf.broker_transport_options = {**sender.conf.broker_transport_options, "max_retries": 0}
    return sender


def broker_settings(settings: Settings) -> dict[str, Any]:
    """Return the Celery settings that senders and workers must share (design decision 7)."""
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
        # Of another name than the queue: a permission to bind to the one is then none to take from the other.
        "task_default_exchange": f"{settings.queue}.direct",
        "task_ignore_result": True,
        "task_publish_retry": False,
    }


class Relay:
    """Sends due entries for one process."""

    def __init__(self, settings: Settings, db: Database, tasks: TaskWriter, sender: Celery | None = None) -> None:
        self._settings = settings
        self._db = db
        self._tasks = tasks
        self._sender = sender or make_sender(settings)
        self._voucher = MessageSigner(settings, is_strict=settings.sign_messages)
        #: How many messages waited in the broker's queue when `look` asked; None when it did not answer.
        self.depth: int | None = None
        #: When `look` asked last, in seconds of the monotonic clock; None before that.
        self.asked_at: float | None = None

    def run_due(self, limit: int = 100) -> int:
        """Send what is due, oldest first, and return how many messages the broker took. Stops at its first refusal."""
        entries = self._reserve(limit)
        for sent, entry in enumerate(entries):
            if not self._send(entry):
                self._db.run(partial(_give_back, entries=entries[sent:]))
                return sent
            mark = partial(self._tasks.mark_queued, entry.task_id, entry.attempt, self._doubt_after(entry.sends))
            alone(entry.task_id, mark)
        return len(entries)

    def find_lost(self) -> int:
        """Make due at once what was sent `resend_idle` ago and not claimed, if the broker's queue is empty.

        Nobody will take these messages any more: a worker that is idle has taken all there were. (RabbitMQ's workers
        may hold one for each run that they are busy with; a second message for these does no harm.) Returns how many.
        """
        mine = (Outbox.sends > 0, Outbox.sent_at <= db_now_once(-self._settings.resend_idle))
        with self._db.read() as session:
            if session.scalar(select(Outbox.task_id).where(*mine).limit(1)) is None:
                return 0
        if not acquire_periodic_lock(self._db, DUTY, self._settings.sweep_interval) or self._depth() != 0:
            return 0
        # As if it had never been sent: whether any message of it is left is no longer a question.
        again = (
            update(Outbox).where(*mine).values(sends=0, sent_at=None, available_at=db_now()).returning(Outbox.task_id)
        )
        lost = len(self._db.run(lambda session: session.scalars(_quietly(again)).all()))
        log.warning("wakeups_lost", number=lost)
        return lost

    def look(self) -> None:
        """Ask the broker how many messages wait, every `broker_check` seconds: readiness and metrics tell of it."""
        now = time.monotonic()
        if self.asked_at is None or now >= self.asked_at + self._settings.broker_check:
            self.depth = self._depth()
            self.asked_at = now

    def close(self) -> None:
        """Close the connection to the broker."""
        self._sender.close()

    def _reserve(self, limit: int) -> list[OutboxEntry]:
        with self._db.read() as session:
            if session.scalar(select(Outbox.task_id).where(Outbox.available_at <= db_now_once()).limit(1)) is None:
                return []
        reserved: list[OutboxEntry] = self._db.run(lambda session: self._take(session, limit))
        fresh = [entry for entry in reserved if entry.sends == 0]
        doubted = [entry for entry in reserved if entry.sends > 0]
        # A queue is taken from its old end: what was lost is most likely among those that have waited longest.
        return fresh + (doubted[: self._count_missing(len(doubted))] if doubted else [])

    def _take(self, session: Session, limit: int) -> list[OutboxEntry]:
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
            entries.append(OutboxEntry(row.task_id, row.attempt, row.sends, row.soft_time_limit, row.hard_time_limit))
            pause = self._doubt_after(row.sends) if row.sends else RESERVE_SECONDS
            session.execute(
                update(Outbox)
                .where(Outbox.task_id == row.task_id)
                .values(available_at=db_now(pause))
                .execution_options(synchronize_session=False)
            )
        return entries

    def _doubt_after(self, sends: int) -> float:
        return min(self._settings.resend_after * 2.0 ** min(sends, 32), self._settings.resend_max)

    def _count_missing(self, most: int) -> int:
        """Count how many more messages were sent for what still waits than the broker holds, up to `most`.

        All that were sent for one task are counted, or those sent because one was lost would hide that another was.
        """
        depth = self._depth() or 0
        if depth > LONG_QUEUE:
            # No worker is idle, and what is missing would wait behind all of these; one, so that none waits for ever.
            return 1
        # Each of these counts for one at least. Later than ever: by the index, which "is not null" does not go by.
        mine = (Outbox.sent_at > datetime.fromtimestamp(0, UTC), Outbox.sends > 0)
        sent = select(Outbox.sends).where(*mine).limit(depth + most).subquery()
        with self._db.read() as session:
            number = session.scalar(select(func.sum(sent.c.sends))) or 0
        return max(int(number) - depth, 0)

    def _depth(self) -> int | None:
        """Return how many messages wait in the broker's queue; None when it does not answer."""
        try:
            with self._sender.connection_for_write() as connection, connection.channel() as channel:
                return int(_declare(channel, self._settings.queue).message_count)
        except Exception as fault:
            # Every transport has errors of its own. That there is no such queue is an answer: Redis keeps no empty one.
            if str(getattr(fault, "reply_code", "")) == "404":
                return 0
            log.info("queue_depth_unknown", reason=str(fault))
            return None

    def _send(self, entry: OutboxEntry) -> bool:
        try:
            name = str(uuid.uuid4())
            limits = choose_limits(self._settings, entry.soft_time_limit, entry.hard_time_limit)
            self._sender.send_task(
                RUN_TASK,
                args=self._address(entry, name, limits),
                task_id=name,
                queue=self._settings.queue,
                # It goes to the queue by name, so no exchange is needed; any client of Redis can change bindings.
                declare=[Queue(self._settings.queue)],
                time_limit=limits[0],
                soft_time_limit=limits[1],
                retry=False,
                ignore_result=True,
            )
        except Exception as fault:
            # Kombu wraps what another try may mend; a wrong password, say, comes as an error of the transport's own.
            SEND_FAILURES.inc()
            log.warning("wakeup_not_sent", task_id=entry.task_id, reason=f"{type(fault).__name__}: {fault}")
            return False
        SENT.inc()
        return True

    def _address(self, entry: OutboxEntry, name: str, limits: tuple[int, int]) -> list[str | int]:
        address: list[str | int] = [entry.task_id, entry.attempt]
        if self._voucher.is_strict:
            address.append(self._voucher.mark(RUN_TASK, wakeup(entry.task_id, entry.attempt, name, limits)))
        return address


def choose_limits(usual: Settings, soft: float | None, hard: float | None) -> tuple[int, int]:
    """Return the hard and the soft limit in seconds; an agent that gives only one of them keeps them in order."""
    soft = soft or usual.soft_time_limit
    hard = hard or max(usual.hard_time_limit, soft + usual.hard_time_limit - usual.soft_time_limit)
    return math.ceil(hard), math.ceil(min(soft, hard))


def _give_back(session: Session, entries: list[OutboxEntry]) -> None:
    """Let entries that could not be sent come up again soon, by whichever relay is first."""
    for entry in sorted(entries, key=lambda entry: entry.task_id):
        # Only this attempt: a message that seemed to fail may have arrived, and the next entry has a delay of its own.
        session.execute(
            update(Outbox)
            .where(Outbox.task_id == entry.task_id, Outbox.attempt == entry.attempt)
            .values(available_at=db_now(GIVE_BACK_SECONDS))
            .execution_options(synchronize_session=False)
        )


def _quietly(statement: Any) -> Any:
    return statement.execution_options(synchronize_session=False)


def _declare(channel: Any, queue: str) -> Any:
    """Ask for the queue without making it. Kombu's channels have this on every transport, but no common type for it."""
    return channel.queue_declare(queue=queue, passive=True)
