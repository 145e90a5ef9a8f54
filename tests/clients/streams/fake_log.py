"""The REST API of one instance with a log, for streams of the Python client; its websockets are fakes as well."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from swallowtail.client import AsyncClient, Client
from tests.clients.fake_connection import FakeConnection, FakeServer, event
from tests.clients.rest.fake_server import TASK, problem, reply
from tests.harness.waiting import wait_until


class FakeLog:
    """Instance `i` with task `t`. `events` is its log, and a test may change all that the API returns."""

    def __init__(self, *statuses: str | None) -> None:
        self.epoch = "a"
        self.min_seq = 0
        self.events: list[dict[str, Any]] = []
        self.sockets = FakeServer()
        #: The answer to every request, in place of the log.
        self.fault: httpx2.Response | Exception | None = None
        self.requests: list[str] = []
        self.tokens: list[str | None] = []
        #: Called before a request is answered, with its path.
        self.before: Callable[[str], None] = lambda _: None
        self.add(*statuses)

    def add(self, *statuses: str | None) -> list[dict[str, Any]]:
        """Add events with these statuses; return them."""
        added = [
            event(len(self.events) + number, self.epoch, **({"status": status} if status else {}))
            for number, status in enumerate(statuses, 1)
        ]
        self.events += added
        return added

    @property
    def head(self) -> int:
        """The number of the last event."""
        return len(self.events)

    @property
    def task(self) -> dict[str, Any]:
        """The task as the log has it."""
        statuses = [one["data"]["status"] for one in self.events if "status" in one["data"]]
        status = statuses[-1] if statuses else "SUBMITTED"
        return TASK | {"id": "t", "instance_id": "i", "status": status, "last_seq": self.head}

    @property
    def snapshot(self) -> dict[str, Any]:
        """The present state."""
        own = {"epoch": self.epoch, "head": self.head, "min_seq": self.min_seq}
        return {"instance_id": "i", **own, "tasks": [{**self.task, "steps": []}], "complete": True}

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        path = request.url.path
        self.requests.append(path)
        self.tokens.append(request.headers.get("Authorization"))
        self.before(path)
        if isinstance(self.fault, Exception):
            raise self.fault
        if self.fault is not None:
            return httpx2.Response(self.fault.status_code, headers=self.fault.headers, content=self.fault.content)
        if re.fullmatch("/api/v1/instances/i", path):
            return reply({"id": "i", "name": "I", "epoch": self.epoch, "seq": self.head, "created_at": "x"})
        if path.endswith("/snapshot"):
            return reply(self.snapshot)
        if path.endswith("/events"):
            return self._list_events(request.url.params)
        if path == "/api/v1/tasks/t":
            return reply(self.task)
        return problem(404, "not_found")

    def _list_events(self, params: Any) -> httpx2.Response:
        since, epoch = int(params["since"]), params.get("epoch")
        if epoch not in (None, self.epoch) or since > self.head or since < self.min_seq:
            return problem(410, "epoch" if since >= self.min_seq else "too_old")
        items = self.events[since : since + 2]
        reached = items[-1]["seq"] if len(items) == 2 else self.head
        own = {"epoch": self.epoch, "head": self.head, "min_seq": self.min_seq}
        return reply({"items": items, **own, "next_since": reached})

    def accept(self, number: int, *, say: list[dict[str, Any]] | None = None) -> FakeConnection:
        """Wait for the subscription of connection `number`; send what is missing, or `say`; return the connection."""
        connection = self.sockets.wait_for(number)
        payload = connection.wait_for_sent(1)
        answer = {"ok": True, "epoch": self.epoch, "head": self.head, "min_seq": self.min_seq, "mode": "replay"}
        connection.answer(1, answer)
        for one in self.events[payload["since"]["seq"] :] if say is None else say:
            connection.say(one["type"], one)
        return connection


class Reader:
    """Reads a stream in a thread of its own."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.error: BaseException | None = None
        self.has_ended = False
        self.stop: Callable[[], object] = lambda: None

    def wait_for(self, *seqs: int) -> None:
        """Wait until exactly these events arrived."""
        wait_until(lambda: len(self.items) >= len(seqs), f"events {seqs} arrive", seen=lambda: self.items)
        assert [getattr(item, "seq", item) for item in self.items] == list(seqs)

    def wait_for_end(self) -> None:
        """Wait until the stream has ended, and raise its error."""
        wait_until(lambda: self.has_ended, "the stream ends", seen=lambda: self.items)
        if self.error is not None:
            raise self.error


@contextmanager
def reading(kind: str, log: FakeLog, token: Any = None, **options: Any) -> Iterator[Reader]:
    """Read `watch("i", …)` with the client of this kind, until the end of the block."""
    transport = httpx2.MockTransport(log.respond)
    made: dict[str, Any] = {"transport": transport, "make_connection": log.sockets.make_connection}
    reader = Reader()
    run = _run_async if kind == "async" else _run_blocking
    thread = threading.Thread(target=run, args=(reader, token, made, options), daemon=True)
    thread.start()
    yield reader
    if not reader.has_ended:
        reader.stop()
    thread.join(10)
    assert not thread.is_alive()


def _run_blocking(reader: Reader, token: Any, made: dict[str, Any], options: dict[str, Any]) -> None:
    try:
        with Client("http://server", token, **made) as client, client.watch("i", **options) as stream:
            reader.stop = stream.close
            for item in stream:
                reader.items.append(item)
    except Exception as error:
        reader.error = error
    reader.has_ended = True


def _run_async(reader: Reader, token: Any, made: dict[str, Any], options: dict[str, Any]) -> None:
    async def read() -> None:
        async with AsyncClient("http://server", token, **made) as client, client.watch("i", **options) as stream:
            async for item in stream:
                reader.items.append(item)

    loop = asyncio.new_event_loop()
    task = loop.create_task(read())
    reader.stop = lambda: loop.call_soon_threadsafe(task.cancel)
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass
    except Exception as error:
        reader.error = error
    reader.has_ended = True
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
