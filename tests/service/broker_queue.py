"""Reads the messages in a broker's queue, as a worker does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kombu import Connection, Exchange, Queue

from swallowtail.app.core.config.settings import Settings


@dataclass(frozen=True)
class Wakeup:
    """One message of Celery."""

    task: str
    args: list[Any]
    limits: list[Any]
    eta: Any


def take_all(settings: Settings) -> list[Wakeup]:
    """Take every message out of the queue."""
    name = settings.queue
    with Connection(settings.broker) as connection, connection.channel() as channel:
        queue = Queue(name, Exchange(f"{name}.direct"), routing_key=name, channel=channel)
        queue.declare()
        return list(map(_read, iter(lambda: queue.get(no_ack=True), None)))


def _read(message: Any) -> Wakeup:
    args, _, _ = message.decode()
    return Wakeup(message.headers["task"], args, message.headers["timelimit"], message.headers["eta"])


def ids(wakeups: list[Wakeup]) -> list[tuple[str, int]]:
    """Return the tasks and attempts that messages name, in order of the tasks."""
    return sorted((wakeup.args[0], wakeup.args[1]) for wakeup in wakeups)
