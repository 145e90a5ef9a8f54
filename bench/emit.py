"""Emits marked events into rooms with the Python systems, at a rate or as fast as possible.

`python -m bench.emit SYSTEM FROM TO RATE COUNT FIRST`: rooms FROM up to, but not including, TO; RATE is events per room
and second, 0 for a burst. SYSTEM is `ours` (each event is committed to the log, then published), `stock`
(`socketio.RedisManager`) or `bare` (a plain publish of the finished packet). Prints `ready`, begins when it reads a
line, and prints as JSON the CPU seconds that it used since then, and when each event was committed, in nanoseconds
since 1970, by room and number; nothing for systems that commit nowhere.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import redis
import socketio

from bench.arrivals import Commits
from swallowtail import signals
from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.events import TASK_UPDATE, EventRecord
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.tables.tasks import Task

#: Events per transaction in a burst, as in a bulk change.
BATCH = 100

#: The payload that every system sends: what a client of the promised protocol receives.
PAYLOAD: dict[str, Any] = {
    "instance_id": "",
    "task_id": "00000000-0000-4000-8000-000000000000",
    "type": TASK_UPDATE,
    "data": {"progress": 50.0, "message": "", "timestamp": "2026-01-01T00:00:00.000Z"},
    "seq": 1_000_000,
    "epoch": "0123456789abcdef",
    "id": "00000000-0000-5000-8000-000000000000",
    "attempt": 1,
}


def mark(number: int) -> str:
    """Return the mark that the load client searches for."""
    return f"@{number}:{time.time_ns()}@"


def make_data(number: int) -> dict[str, Any]:
    """Return the data of an event, with its mark."""
    return {**PAYLOAD["data"], "message": mark(number)}


def make_payload(room: int, number: int) -> dict[str, Any]:
    """Return the payload for a client of a room."""
    return {**PAYLOAD, "instance_id": f"room-{room}", "data": make_data(number)}


class Sender(ABC):
    """Emits into rooms and stores nothing."""

    def __init__(self, rooms: range) -> None:
        self.rooms = rooms

    @abstractmethod
    def send(self, numbers: range) -> None:
        """Send an event for each number into each room."""

    def commits(self) -> Commits:
        """Return when each event was committed; nothing for events that were not."""
        return {}


class SwallowtailSender(Sender):
    """Commits events to the log of each room and publishes them, as a worker does."""

    def __init__(self, rooms: range) -> None:
        super().__init__(rooms)
        self.runtime = Runtime.build(join(load_settings()), publish=False)
        signals.event_recorded.connect(self._receive, self.runtime.db)
        self._committed: list[tuple[int, Sequence[EventRecord]]] = []

    def send(self, numbers: range) -> None:
        """Commit one transaction for each room, with one event for each number."""
        for room in self.rooms:

            def work(change: Change, task_id: str = f"bench-{room}") -> None:
                task = change.session.get_one(Task, task_id)
                for number in numbers:
                    change.record(task, TASK_UPDATE, make_data(number), fact=f"bench:{number}")

            self.runtime.commit(work)

    def commits(self) -> Commits:
        """See `Sender`."""
        committed: Commits = {}
        for moment, events in self._committed:
            for event in events:
                number = event.data["message"].split(":")[0].removeprefix("@")
                committed.setdefault(event.instance_id, {})[number] = moment
        return committed

    def _receive(self, sender: object, events: Sequence[EventRecord]) -> None:
        self._committed.append((time.time_ns(), events))
        self.runtime.broadcast.publish(events)


class StockSender(Sender):
    """Emits through python-socketio's Redis manager, as its documentation recommends for external processes."""

    def __init__(self, rooms: range) -> None:
        super().__init__(rooms)
        self.manager = socketio.RedisManager(os.environ["BENCH_REDIS"], channel="flask-socketio", write_only=True)

    def send(self, numbers: range) -> None:
        """Emit each number into each room."""
        for number in numbers:
            for room in self.rooms:
                self.manager.emit(TASK_UPDATE, make_payload(room, number), room=f"room-{room}")


class BareSender(Sender):
    """Publishes finished packets."""

    def __init__(self, rooms: range) -> None:
        super().__init__(rooms)
        self.redis = redis.Redis.from_url(os.environ["BENCH_REDIS"])

    def send(self, numbers: range) -> None:
        """Publish each number in each room."""
        for number in numbers:
            for room in self.rooms:
                packet = b"42" + orjson.dumps([TASK_UPDATE, make_payload(room, number)])
                self.redis.publish(f"bare:room-{room}", packet)


SYSTEMS: dict[str, type[Sender]] = {"ours": SwallowtailSender, "stock": StockSender, "bare": BareSender}


def pace(send: Callable[[range], None], rate: float, count: int, first: int) -> None:
    """Send `count` numbers from `first` on at `rate` per second, or in batches as fast as possible if it is 0."""
    began, sent = time.monotonic(), 0
    while sent < count:
        due = min(count, int((time.monotonic() - began) * rate) + 1) if rate else min(count, sent + BATCH)
        for place in range(sent, due, BATCH if not rate else 1):
            send(range(first + place, first + (due if not rate else place + 1)))
        sent = due
        if rate:
            time.sleep(max(0.0, sent / rate - (time.monotonic() - began)))


def main() -> None:
    """Emit with the arguments of this process."""
    system, low, high, rate, count, first = sys.argv[1], *map(int, sys.argv[2:7])
    rooms = range(low, high)
    emitter = SYSTEMS[system](rooms)
    print("ready", flush=True)
    sys.stdin.readline()
    used = _cpu()
    pace(emitter.send, rate, count, first)
    used = _cpu() - used
    print(json.dumps({"cpu_s": used, "commits": emitter.commits()}), flush=True)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
