"""Fakes of what delivery uses: a log that is a list, and clients that are lists."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import NotFound, Unavailable
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.event_log import Head
from swallowtail.app.core.security.actors import Actor
from swallowtail.app.core.security.field_mask import FULL, FieldMask
from swallowtail.app.delivery.clients.client import Client
from swallowtail.app.delivery.log.database_reader import DatabaseReader, Page
from swallowtail.app.delivery.wire import Frame, Since, SubscriptionStart
from tests.harness.settings import make_settings

INSTANCE = "demo"


@dataclass(frozen=True)
class FakeFrame:
    """A message that was not encoded."""

    event: str
    payload: Mapping[str, Any]
    size: int = 100

    def __len__(self) -> int:
        return self.size


class FakeTransport:
    """Clients as lists of what they were sent, in order. `room` bounds what a stalled client's queue takes."""

    def __init__(self) -> None:
        self.sent: dict[str, list[FakeFrame]] = {}
        self.waiting: dict[str, int] = {}
        self.stalled: set[str] = set()
        self.room = 16
        self._lock = threading.Lock()

    def frame(self, event: str, payload: Mapping[str, Any]) -> FakeFrame:
        return FakeFrame(event, dict(payload))

    def read(self, frame: Frame) -> Mapping[str, Any]:
        assert isinstance(frame, FakeFrame)
        return frame.payload

    def send(self, client: str, frames: Sequence[Frame]) -> None:
        with self._lock:
            for frame in frames:
                assert isinstance(frame, FakeFrame)
                self.sent.setdefault(client, []).append(frame)
            if client in self.stalled:
                self.waiting[client] = self.waiting.get(client, 0) + len(frames)

    def find_connection(self, client: str) -> None:
        return None

    def send_to_all(self, clients: Collection[Client], frames: Sequence[Frame]) -> list[tuple[Client, int]]:
        short = []
        for client in clients:
            accepted = frames[: self.room - self.waiting.get(client.id, 0)] if client.id in self.stalled else frames
            self.send(client.id, accepted)
            if len(accepted) < len(frames):
                short.append((client, len(accepted)))
        return short

    def is_ready(self, client: Client) -> bool:
        return client.id not in self.stalled or self.waiting.get(client.id, 0) < self.room

    def stall(self, client: str) -> None:
        """Make the client take no messages."""
        self.stalled.add(client)

    def drain(self, client: str) -> None:
        """Make the client take messages again."""
        self.stalled.discard(client)
        self.waiting.pop(client, None)

    def story(self, client: str) -> list[str]:
        """Return what a client was sent, one short text each: `3` for event 3, `live 40`, `reset epoch`, `head 3`."""
        return [_line(frame) for frame in self.sent.get(client, [])]

    def numbers(self, client: str) -> list[int]:
        """Return the numbers of the durable events that a client was sent."""
        return [frame.payload["seq"] for frame in self.sent.get(client, []) if "id" in frame.payload]


def _line(frame: FakeFrame) -> str:
    payload = frame.payload
    if frame.event == "reset":
        return f"reset {payload['reason']}"
    if frame.event == "head":
        return f"head {payload['seq']}"
    if "rev" in payload and frame.event == "task_update":
        return f"live {payload['data']['progress']:g}"
    return str(payload["seq"]) if "seq" in payload else frame.event


class FakeReader(DatabaseReader):
    """A log in memory. `away` makes every read fail; `reads` counts the pages that were asked for."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or make_settings()
        self.epoch = "one"
        self.events: list[EventRecord] = []
        self.min_seq = 0
        self.exists = True
        self.away = False
        self.reads: list[int] = []
        self.lock = threading.Lock()

    @property
    def head(self) -> Head:
        return Head(self.epoch, self.events[-1].seq if self.events else self.min_seq, self.min_seq)

    def write(self, count: int = 1, *, task: str = "t", progress: float = 0.0, attempt: int = 1) -> list[EventRecord]:
        """Commit events; returns them."""
        with self.lock:
            first = self.head.seq + 1
            fresh = [make_event(first + place, self.epoch, task, progress, attempt) for place in range(count)]
            self.events = [*self.events, *fresh]
            return fresh

    def prune(self, min_seq: int) -> None:
        """Delete the events up to `min_seq`."""
        with self.lock:
            self.events = [event for event in self.events if event.seq > min_seq]
            self.min_seq = max(self.min_seq, min_seq)

    def begin_epoch(self, epoch: str, seq: int = 0) -> None:
        """Start another log at `seq`."""
        with self.lock:
            self.epoch, self.events, self.min_seq = epoch, [], seq

    def read_page(self, instance_id: str, after: int) -> Page:
        self._check()
        with self.lock:
            self.reads.append(after)
            events = [event for event in self.events if event.seq > after]
            return Page(self.head if self.exists else None, events[:200])

    def read_heads(self, instance_ids: list[str]) -> dict[str, Head]:
        self._check()
        return dict.fromkeys(instance_ids, self.head) if self.exists else {}

    def read_start(self, instance_id: str, since: Since | None, view: FieldMask = FULL) -> SubscriptionStart:
        self._check()
        if not self.exists or instance_id.startswith("no-"):
            raise NotFound("there is no such instance", field="instance_id")
        with self.lock:
            head = self.head
            if since is None:
                return SubscriptionStart(instance_id, "live", head, head.seq)
            if self.can_replay(head, since):
                return SubscriptionStart(instance_id, "replay", head, since.seq)
            return SubscriptionStart(instance_id, "snapshot", head, head.seq, b'{"tasks":[]}')

    def authorize_task(self, actor: Actor, task_id: str) -> str:
        self._check()
        if task_id.startswith("no-"):
            raise NotFound("there is no such task", field="task_id")
        return INSTANCE

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the database is locked or unavailable")


def make_event(
    seq: int, epoch: str = "one", task: str = "t", progress: float = 0.0, attempt: int = 1, instance: str = INSTANCE
) -> EventRecord:
    """Return an event with these numbers."""
    data = {"progress": progress, "message": "", "timestamp": "2026-01-01T00:00:00.000Z"}
    return EventRecord(instance, seq, epoch, f"{epoch}-{seq}", task, "task_update", attempt, data)


def events_message(events: Sequence[EventRecord]) -> bytes:
    """Return the message that announces events."""
    return orjson.dumps({"kind": "events", "events": [event.wire() for event in events]})


def live_message(
    progress: float, *, base: int, rev: int, task: str = "t", attempt: int = 1, epoch: str = "one"
) -> bytes:
    """Return the message that carries progress inside a step."""
    wire = {
        "instance_id": INSTANCE,
        "task_id": task,
        "type": "task_update",
        "data": {"progress": progress, "message": ""},
        "epoch": epoch,
        "attempt": attempt,
        "rev": rev,
    }
    return orjson.dumps({"kind": "live", "base_seq": base, "live": wire})
