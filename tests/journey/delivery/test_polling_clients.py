"""Stock clients that poll send and receive as much at once as clients with a websocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import socketio

from tests.harness.deployment import Deployment
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author

pytestmark = [pytest.mark.journey]
#: More than python-engineio's client reads in one answer, and its server in one request.
MANY = 40


@pytest.fixture
def client(shared_deployment: Deployment) -> Iterator[socketio.Client]:
    client = socketio.Client(reconnection=False, handle_sigint=False)
    client.connect(shared_deployment.webs[0].url, transports=["polling"], wait_timeout=30)
    yield client
    client.disconnect()


def test_every_event_of_a_burst_is_acknowledged(client: socketio.Client) -> None:
    answers: list[Any] = []
    for _ in range(MANY):
        client.emit("unsubscribe_instance", {"instance_id": "nobody"}, callback=answers.append)
    wait_until(lambda: len(answers) == MANY, "each is acknowledged", seen=lambda: answers)
    assert {answer["ok"] for answer in answers} == {True}


def test_a_replay_of_any_length_comes_whole_and_in_order(
    shared_deployment: Deployment, client: socketio.Client
) -> None:
    author = Author(shared_deployment)
    while len(author.events) < MANY:
        author.play()
    messages: list[int] = []
    for event in ("task_update", "execution_step"):
        client.on(event, lambda received: messages.append(received["seq"]))
    answer = client.call(
        "subscribe_instance",
        {"instance_id": author.instance_id, "since": {"epoch": author.epoch, "seq": 0}},
        timeout=30,
    )
    assert answer["mode"] == "replay"
    wait_until(lambda: len(messages) >= author.head, "everything came", seen=lambda: messages)
    assert messages == list(range(1, author.head + 1))
