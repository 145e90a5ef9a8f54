"""An error of a handler, or of the library between two threads, costs one connection and not the subscriber.

Kind of fault: an exception ends a thread that nothing starts again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis.client
import structlog

from swallowtail.app.delivery.redis.subscriber import Subscriber
from tests.delivery.redis.test_self_check import count
from tests.harness.servers import RedisServer
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.service


class Once:
    """Raises a KeyError for the first reply of the channel `late`, and does `then` for others."""

    def __init__(self, then: Callable[..., Any]) -> None:
        self.then = then
        self.has_raised = False

    def __call__(self, *args: Any) -> Any:
        if not self.has_raised and "late" in repr(args):
            self.has_raised = True
            raise KeyError("the first time")
        return self.then(*args)


@pytest.mark.parametrize("faulty", ["receive", "joined", "handle_message"])
def test_after_an_error_it_reads_again(redis_server: RedisServer, faulty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []
    handlers: dict[str, Callable[..., Any]] = {
        "receive": lambda channel, message: received.append(message),
        "joined": lambda channel: None,
        "handle_message": redis.client.PubSub.handle_message,
    }
    handlers[faulty] = once = Once(handlers[faulty])
    subscriber = Subscriber(make_settings(redis_url=redis_server.url))
    handle = handlers["handle_message"]
    monkeypatch.setattr(redis.client.PubSub, "handle_message", lambda self, *args, **_: handle(self, *args))
    with structlog.testing.capture_logs() as lines, redis_server.client() as client:
        subscriber.start(handlers["receive"], handlers["joined"], loop=None)
        subscriber.add("late")
        wait_until(lambda: client.publish("late", b"x") and received, "messages arrive")
    subscriber.stop()
    assert once.has_raised
    assert [(line["event"], line["exc_info"]) for line in lines] == [("handler_failed", True)]


def wait_for_failures(number: int) -> None:
    most = count("swallowtail_redis_reconnects_total") + number
    wait_until(lambda: count("swallowtail_redis_reconnects_total") >= most, "it tries again")


def test_an_outage_is_logged_once_and_its_end_once(redis_server: RedisServer) -> None:
    subscriber = Subscriber(make_settings(redis_url=redis_server.url))
    with structlog.testing.capture_logs() as lines:
        subscriber.start(lambda *_: None, lambda _: None, loop=None)
        wait_until(lambda: subscriber.is_connected, "it has connected")
        for _ in range(2):
            redis_server.kill()
            wait_for_failures(3)
            redis_server.start()
            wait_until(lambda: subscriber.is_connected, "it has connected again")
    subscriber.stop()
    assert [line["event"] for line in lines] == ["redis_lost", "redis_back"] * 2
    assert all(line["reason"] for line in lines if line["event"] == "redis_lost")
