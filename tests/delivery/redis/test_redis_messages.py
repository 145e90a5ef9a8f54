"""A malformed message from Redis counts as lost, and raises no error."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from swallowtail.app.core.redis.messages import EventsMessage, LiveMessage, read_message
from tests.delivery.fakes import INSTANCE, events_message, live_message, make_event


def test_reads_a_published_message() -> None:
    message = read_message(events_message([make_event(3), make_event(4)]), INSTANCE)
    assert isinstance(message, EventsMessage)
    assert [wire["seq"] for wire in message.wires] == [3, 4]
    state = read_message(live_message(40, base=3, rev=2), INSTANCE)
    assert isinstance(state, LiveMessage)
    assert (state.base_seq, state.wire["rev"]) == (3, 2)


def spoiled(**fields: Any) -> bytes:
    return orjson.dumps({"kind": "events", "events": [{**make_event(3).wire(), **fields}]})


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"nonsense",
        b"\xff\xfe",
        b"[" * 10_000,
        b"[]",
        b"null",
        b'{"kind": "events"}',
        b'{"kind": "events", "events": []}',
        b'{"kind": "events", "events": [1]}',
        b'{"kind": "events", "events": {"a": 1}}',
        b'{"kind": "live"}',
        b'{"kind": "else"}',
        spoiled(seq="3"),
        spoiled(seq=True),
        spoiled(seq=0),
        spoiled(instance_id="other"),
        spoiled(type="reset"),
        spoiled(task_id=7),
        spoiled(attempt=None),
        spoiled(data=[]),
        spoiled(data={"progress": "much"}),
        orjson.dumps({"kind": "events", "events": [make_event(3).wire(), make_event(4, "two").wire()]}),
        live_message(40, base=3, rev=2).replace(b'"rev":2', b'"rev":"2"'),
    ],
)
def test_ignores_unusable_messages(message: bytes) -> None:
    assert read_message(message, INSTANCE) is None
