"""What another program emits arrives, or leaves a line in the log: never neither."""

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
    """A subscription that receives the given messages, and ends with an error that the library does not catch."""

    messages: Sequence[bytes] = ()

    def replies(self, stopping: threading.Event) -> Generator[Any]:
        yield from ([b"message", b"", data] for data in self.messages)


def listen(*messages: bytes) -> tuple[list[Any], list[str]]:
    manager = ClientManager(make_settings())
    manager._subscriber = subscriber = Received(make_settings(), "")
    subscriber.messages = messages
    received: list[Any] = []
    with structlog.testing.capture_logs() as logs, contextlib.suppress(client_manager._Over):
        received.extend(manager._listen())
    return received, [line["event"] for line in logs]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", '"\\ud800"', "1e400", "123456789012345678901234567890"])
def test_what_python_writes_though_it_is_no_json_is_read(value: str) -> None:
    message = json.dumps({**EMIT, "data": 0}).replace('"data": 0', f'"data": {value}')
    taken, lines = listen(message.encode())
    assert [told["event"] for told in taken] == ["note"]
    assert lines == []


@pytest.mark.parametrize("message", [b"", b"\xff", b"{", b"[" * 5000, b"nan", b"\x80\x04K\x01."], ids=repr)
def test_what_is_no_json_leaves_a_line_and_what_comes_after_it_is_heard(message: bytes) -> None:
    taken, lines = listen(message, json.dumps(EMIT).encode())
    assert taken == [EMIT]
    assert lines == ["foreign_message_unreadable"]


def test_an_emit_that_cannot_be_sent_leaves_a_line() -> None:
    queue = ClientManager(make_settings())
    with structlog.testing.capture_logs() as logs:
        # It names no event.
        queue._handle_emit({"method": "emit", "room": "instance_a"})
    assert [line["event"] for line in logs] == ["foreign_emit_not_sent"]
