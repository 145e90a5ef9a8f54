"""A program that writes to the queue cannot choose the time limits of a run."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from celery.worker.consumer import Consumer

from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.workers.broker import message_check
from swallowtail.workers.broker.message_check import CheckedConsumer
from tests.harness.settings import make_settings


class Message:
    content_type, content_encoding = "application/json", "utf-8"

    def __init__(self, limits: Any) -> None:
        self.headers = {"task": RUN_TASK, "id": "a", "timelimit": limits}
        self.body = orjson.dumps([["task", 1], {}, {}])
        self.properties: dict[str, Any] = {}


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        (None, [660, 600]),
        ([None, None], [660, 600]),
        ([None, 1], [660, 600]),
        ([660, 600], [660, 600]),
        ([660, 1], [660, 600]),
        ([0.1, 0.1], [30, 20]),
        ([30, None], [30, 20]),
        ([2**31 - 1, 2**31 - 1], [7260, 7200]),
    ],
)
def test_an_unsigned_wake_up_has_the_limits_of_an_agent(
    requested: Any, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[Any] = []
    monkeypatch.setattr(Consumer, "create_task_handler", lambda _: handled.append)
    monkeypatch.setattr(message_check, "known_time_limits", lambda: [(660, 600), (30, 20), (7260, 7200)])
    CheckedConsumer.create_task_handler(object.__new__(CheckedConsumer))(Message(requested))
    [message] = handled
    assert message.headers["timelimit"] == expected


def test_the_limits_of_a_worker_are_those_of_its_settings_and_of_its_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spec:
        soft_time_limit, hard_time_limit = 7200.0, None

    with monkeypatch.context() as patch:
        patch.setattr(message_check, "agents", lambda: {"long": Spec})
        patch.setattr(message_check, "settings", lambda: make_settings())
        message_check.known_time_limits.cache_clear()
        assert message_check.known_time_limits() == [(660, 600), (7260, 7200)]
    message_check.known_time_limits.cache_clear()
