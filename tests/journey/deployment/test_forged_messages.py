"""Forged messages in a strict deployment show and run nothing that is not in its database."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection

from swallowtail.app.core.ledger.outbox import RUN_TASK, OutboxEntry
from swallowtail.app.core.ledger.publisher import instance_channel, task_channel
from swallowtail.app.core.security.message_signing import MessageSigner
from tests.harness.deployment import Deployment
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.servers import RedisBinary
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author

STRICT = {
    "strict_delivery": "true",
    "sign_messages": "true",
    "secret_key": "k" * 40,
    "foreign_events": "note",
    "resend_idle": 3600,
}
QUEUE = "flask-socketio"


@pytest.fixture
def deployment(redis_binary: RedisBinary) -> Iterator[Deployment]:
    with Deployment(redis_binary=redis_binary, env=STRICT) as opened:
        yield opened


def forge(author: Author, task_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Messages as a publisher of ours would make them, had they happened."""
    settings, events = author.deployment.runtime().settings, author.events
    channel, head = instance_channel(settings, author.instance_id), events[-1]["seq"]

    def event(seq: int, **more: Any) -> dict[str, Any]:
        return {**events[-1], "seq": seq, "id": f"forged-{seq}", **more}

    live = {"type": "task_update", "instance_id": author.instance_id, "task_id": task_id, "attempt": 1, "rev": 99,
            "epoch": events[-1]["epoch"]}  # fmt: skip
    text = {"task_id": task_id, "instance_id": author.instance_id, "step_id": "s", "attempt": 1, "rev": 1, "offset": 0}
    forged = [event(head + 1), event(head + 5), event(2**62), event(1, epoch="forged"), event(head)]
    return [
        *((channel, {"kind": "events", "at": 1.0, "events": [one]}) for one in forged),
        (channel, {"kind": "live", "base_seq": head, "live": {**live, "data": {"progress": 99, "message": "forged"}}}),
        (channel, {"kind": "live", "base_seq": 2**62, "live": {**live, "data": {"progress": 98}}}),
        (task_channel(settings, task_id), {"kind": "text", "text": {**text, "text": "forged"}}),
    ]


def test_a_forged_publish_reaches_no_client(deployment: Deployment) -> None:
    web = deployment.start_web()
    author = Author(deployment)
    claim = author.claim(author.submit())
    with ResumingRecorder(web.url) as client, deployment.redis.client() as redis:
        before = len(author.events)
        client.follow(author.instance_id)
        assert client.call("subscribe_task", {"task_id": claim.task_id})["ok"]
        author.step(claim, "first")
        for channel, message in forge(author, claim.task_id):
            assert redis.publish(channel, json.dumps(message)) >= 1
        for name in ("task_update", "execution_step", "head", "reset"):
            received = {"method": "emit", "event": name, "namespace": "/", "room": f"instance_{author.instance_id}"}
            redis.publish(QUEUE, json.dumps({**received, "data": [{"message": "forged"}]}))
        author.publish_live(claim, 50, rev=1, base_seq=author.head)
        author.publish_text(claim.task_id, "first", "true", offset=0, rev=1)
        author.step(claim, "second")
        author.rt.runs.complete(claim, {"done": True})
        assert client.wait_for_log(author.instance_id, author.head) == author.events[before:]
        messages = json.dumps([payload for _, payload in list(client.messages)])
    assert "forged" not in messages
    assert "true" in messages


def test_a_forged_message_to_the_queue_ends_no_connection_and_moves_no_client(deployment: Deployment) -> None:
    """The messages that Flask-SocketIO's processes exchange, in their format."""
    first, second = deployment.start_web(wait=False), deployment.start_web(wait=False)
    first.wait_ready()
    second.wait_ready()
    author, other = Author(deployment), Author(deployment)
    room, foreign = f"instance_{author.instance_id}", f"instance_{other.instance_id}"
    with Recorder(first.url) as one, Recorder(second.url) as two, deployment.redis.client() as redis:
        messages = [listen(client, "*") for client in (one, two)]
        one.subscribe(author.instance_id)
        two.subscribe(author.instance_id)
        wait_until(lambda: redis.pubsub_numsub(QUEUE)[0][1] == 2, "both processes listen to the queue")

        def say(method: str, **more: Any) -> None:
            message = {"method": method, "namespace": "/", "host_id": "another", **more}
            assert redis.publish(QUEUE, json.dumps(message)) == 2

        for client in (one, two):
            sid = client._client.get_sid()
            say("disconnect", sid=sid)
            say("leave_room", sid=sid, room=room)
            say("enter_room", sid=sid, room=foreign)
            say("callback", sid=sid, id=1, args=[])
            say("emit", event="rumour", data=["forged"], room=sid)
        say("close_room", room=room)
        for name in ("rumour", "disconnect", "connect_error", "task_update", "execution_step", "step_output", "error"):
            say("emit", event=name, data=[{"message": "forged"}], room=room)
            say("emit", event=name, data=[{"message": "forged"}])
        wrong = MessageSigner(make_settings(secret_key="x" * 40), is_strict=True)
        redis.publish(QUEUE, wrong.wrap(QUEUE, json.dumps({"method": "close_room", "room": room}).encode()))
        other.play()
        say("emit", event="note", data=[{"text": "true"}], room=room)
        task_id = author.play()
        for client, others in zip((one, two), messages, strict=True):
            client.wait_for_status(task_id, "COMPLETED")
            assert client.events() == author.events
            assert client.is_connected
            wait_until(partial(others.__contains__, ("note", {"text": "true"})), "the note arrives")
            assert "forged" not in repr((others, client.payloads("error")))


def test_a_process_of_ours_is_believed_there(deployment: Deployment) -> None:
    web = deployment.start_web()
    ours = MessageSigner(deployment.settings, is_strict=True)
    with Recorder(web.url) as client, deployment.redis.client() as redis:
        message = {"method": "disconnect", "sid": client._client.get_sid(), "namespace": "/", "host_id": "another"}

        def is_out() -> bool:
            redis.publish(QUEUE, ours.wrap(QUEUE, json.dumps(message).encode()))
            return not client.is_connected

        client.wait_until(is_out, "the client is disconnected")


def listen(client: Recorder, event: str) -> list[tuple[Any, ...]]:
    """Have a client note events that are not of the protocol."""
    messages: list[tuple[Any, ...]] = []
    client._client.on(event, lambda *received: messages.append(received))
    return messages


def enqueue(
    deployment: Deployment,
    arguments: list[Any],
    *,
    content_type: str = "application/json",
    body: Any = None,
    **more: Any,
) -> None:
    received = {"lang": "py", "task": RUN_TASK, "id": "forged", "argsrepr": "", "kwargsrepr": "", "origin": "elsewhere"}
    headers = {**received, **more}
    with Connection(deployment.settings.broker) as connection, connection.Producer() as producer:
        producer.publish(
            body if body is not None else json.dumps([arguments, {}, {}]),
            routing_key=deployment.runtime().settings.queue,
            exchange="",
            headers=headers,
            correlation_id="forged",
            content_type=content_type,
            content_encoding="utf-8" if body is None else "binary",
        )


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("broker", ["redis", pytest.param("rabbitmq", marks=pytest.mark.long)])
def test_a_worker_runs_only_signed_messages(
    new_deployment: Callable[..., Deployment], broker: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("rabbit_url") if broker == "rabbitmq" else None
    deployment = new_deployment(env=STRICT, broker_url=url)
    worker = deployment.start_worker()
    author = Author(deployment)
    hidden = author.submit()
    deployment.runtime().ledger.mark_queued(hidden, 1, 3600.0)
    bomb = deployment.root / "exploded"
    limits = (660, 600)
    true = deployment.runtime().relay._make_arguments(OutboxEntry(hidden, 1, 0, None, None), "true", limits)
    for arguments in ([hidden, 1], [hidden, 1, ""], [hidden, 1, "0" * 64], [hidden, 1, 7]):
        enqueue(deployment, arguments, id="true", timelimit=limits)
    # All that is signed is as it was, or nothing is believed.
    changed: list[dict[str, Any]] = [{"id": "other"}, {"timelimit": [1, 600]}, {"timelimit": [660, 1]}]
    changed += [{"timelimit": None}, {"timelimit": [660.0, 600.0]}]
    for change in changed:
        received: dict[str, Any] = {"id": "true", "timelimit": limits, **change}
        enqueue(deployment, true, **received)
    enqueue(deployment, [], content_type="application/x-python-serialize", body=pickle.dumps([[Bomb(bomb)], {}, {}]))
    task_id = deployment.submit(author.instance_id, "echo", {"message": "hello"})
    assert deployment.wait_for_task(task_id)["status"] == "COMPLETED"
    wait_until(lambda: worker.log_text().count("wakeup_forged") == 9, "the forged messages are thrown away")
    assert deployment.task(hidden)["status"] == "QUEUED"
    assert not bomb.exists()
    # Unsigned fields have no effect: neither the time, nor callbacks, nor errbacks.
    unsigned: dict[str, Any] = {"eta": "2999-01-01T00:00:00Z", "expires": "2001-01-01T00:00:00Z", "retries": 99,
                "group": "g", "shadow": "x", "ignore_result": False, "stamps": {}, "stamped_headers": []}  # fmt: skip
    enqueue(deployment, true, id="true", timelimit=limits, **unsigned)
    assert deployment.wait_for_task(hidden)["status"] in ("COMPLETED", "FAILED")
