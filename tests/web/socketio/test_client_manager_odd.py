"""An emit of another program arrives, or leaves a line in the log."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Sequence
from typing import Any

import pytest
import structlog

from swallowtail.app.core.redis.subscriber import RedisSubscriber
from swallowtail.app.web.socketio import client_manager
from swallowtail.app.web.socketio.client_manager import ClientManager
from tests.harness.settings import make_settings

EMIT = {"method": "emit", "event": "note", "namespace": "/", "room": "instance_a"}


class Received(RedisSubscriber):
    """A subscription that receives `messages`, and ends with an error that the library does not catch."""

    messages: Sequence[bytes] = ()

    def replies(self, stopping: threading.Event) -> Generator[Any]:
        yield from ([b"message", b"", data] for data in self.messages)


def listen(*messages: bytes) -> tuple[list[Any], list[str]]:
    manager = ClientManager(make_settings())
    manager._subscriber = subscriber = Received(make_settings(), "")
    subscriber.messages = messages
    received: list[Any] = []
    with structlog.testing.capture_logs() as logs, contextlib.suppress(client_manager._Stopped):
        received.extend(manager._listen())
    return received, [line["event"] for line in logs]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", '"\\ud800"', "1e400", "123456789012345678901234567890"])
def test_pythons_extensions_of_json_are_accepted(value: str) -> None:
    message = json.dumps({**EMIT, "data": 0}).replace('"data": 0', f'"data": {value}')
    emits, lines = listen(message.encode())
    assert [emit["event"] for emit in emits] == ["note"]
    assert lines == []


@pytest.mark.parametrize("message", [b"", b"\xff", b"{", b"[" * 5000, b"nan", b"\x80\x04K\x01."], ids=repr)
def test_a_message_that_is_not_json_leaves_a_line_and_the_next_is_received(message: bytes) -> None:
    emits, lines = listen(message, json.dumps(EMIT).encode())
    assert emits == [EMIT]
    assert lines == ["foreign_message_unreadable"]


def test_a_lost_connection_is_a_warning() -> None:
    """Kind of fault: an outage that only the log of details shows."""
    manager = ClientManager(make_settings(redis_url="redis://127.0.0.1:1"))
    with structlog.testing.capture_logs() as logs:
        next(manager._subscriber.replies(threading.Event()))
    assert [(line["event"], line["log_level"]) for line in logs] == [("message_queue_lost", "warning")]


def test_an_emit_that_cannot_be_sent_leaves_a_line() -> None:
    manager = ClientManager(make_settings())
    with structlog.testing.capture_logs() as logs:
        # It names no event.
        manager._handle_emit({"method": "emit", "room": "instance_a"})
    assert [line["event"] for line in logs] == ["foreign_emit_not_sent"]
