"""A stream that could not read the database reads again after a pause."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from tests.delivery.fake_stream import Scene
from tests.delivery.fakes import events_message
from tests.harness.waiting import wait_until


@pytest.fixture
def running(scene: Callable[..., Scene]) -> Iterator[Scene]:
    """A stream whose thread has failed to read a missing event; the database is back."""
    s = scene()
    s.join("a")
    s.reader.away = True
    thread = threading.Thread(target=s.stream.run, args=[lambda _: True])
    thread.start()
    s.reader.write()
    s.stream.receive(events_message(s.reader.write()))
    wait_until(lambda: s.stream._breaker.has_failed, "a read fails")
    s.reader.away = False
    yield s
    s.stream.leave(s.clients["a"])
    thread.join(60)
    assert not thread.is_alive()


def test_a_missing_event_is_read_once_the_database_is_back(running: Scene) -> None:
    wait_until(lambda: running.story("a") == ["subscribed", "1", "2"], "both are sent")
    assert not running.stream._breaker.has_failed


@pytest.mark.parametrize("read_pause", [3600.0])
def test_a_stream_that_could_not_read_does_not_read_again_at_once(running: Scene) -> None:
    for _ in range(3):
        running.publish()
    assert (running.reader.reads, running.story("a")) == ([], ["subscribed"])
