"""Other programs emit into rooms with the stock API, and Swallowtail's events never use that channel."""

from __future__ import annotations

import time
from collections.abc import Callable

import flask_socketio
import pytest
import redis
import socketio

from swallowtail.app.core.ledger.publisher import instance_channel
from tests.harness.deployment import Deployment
from tests.harness.recorder import Recorder
from tests.journey.event_writer import Author

CHANNEL = "flask-socketio"


def listen(client: Recorder, event: str) -> list[object]:
    """Have a client note an event that is not of the protocol."""
    messages: list[object] = []
    client._client.on(event, messages.append)
    return messages


@pytest.mark.parametrize("tcp", [True, False], ids=["tcp", "unix"])
def test_another_program_emits_into_a_room(new_deployment: Callable[..., Deployment], tcp: bool) -> None:
    deployment = new_deployment(tcp=tcp)
    first, second = deployment.start_web(wait=False), deployment.start_web(wait=False)
    first.wait_ready()
    second.wait_ready()
    author = Author(deployment)
    room = f"instance_{author.instance_id}"
    with Recorder(first.url) as here, Recorder(second.url) as there, Recorder(second.url) as stranger:
        notes = [listen(client, "note") for client in (here, there, stranger)]
        for client in (here, there):
            client.subscribe(author.instance_id)

        def arrives() -> bool:
            emit_note(deployment.redis.url, room, tcp)
            return bool(notes[0] and notes[1])

        here.wait_until(arrives, "the note arrives at both processes")
        assert notes[0][0] == notes[1][0] == {"text": "hello ☃", "n": 2**70}
        here.unsubscribe(author.instance_id)
        had, count = len(notes[0]), len(notes[1])
        emit_note(deployment.redis.url, room, tcp)
        there.wait_until(lambda: len(notes[1]) > count, "a later note arrives")
        assert (len(notes[0]), notes[2]) == (had, [])


def emit_note(url: str, room: str, tcp: bool) -> None:
    note = {"text": "hello ☃", "n": 2**70}
    if tcp:
        program = flask_socketio.SocketIO(message_queue=url, async_mode="threading")
        program.emit("note", note, to=room)
        manager = program.server.manager
    else:
        # Flask-SocketIO itself would take a unix socket for one of kombu's transports.
        manager = socketio.RedisManager(url, channel=CHANNEL, write_only=True)
        manager.emit("note", note, room=room)
    manager.redis.close()


def test_our_own_events_do_not_travel_there(deployment: Deployment) -> None:
    web = deployment.start_web()
    author = Author(deployment)
    with Recorder(web.url) as client, deployment.redis.client() as server, server.pubsub() as queue:  # type: ignore[no-untyped-call]
        queue.psubscribe("*")
        assert queue.get_message(timeout=60)["type"] == "psubscribe"
        client.subscribe(author.instance_id)
        task_id = author.play()
        client.wait_for_status(task_id, "COMPLETED")
        client.unsubscribe(author.instance_id)
        channels = drain(queue)
    assert instance_channel(deployment.runtime().settings, author.instance_id) in channels
    assert CHANNEL not in channels


def drain(queue: redis.client.PubSub) -> set[str]:
    channels = set()
    while (message := queue.get_message(timeout=1)) is not None:
        channels.add(message["channel"].decode())
    return channels


def test_messages_are_received_again_after_redis_was_away(deployment: Deployment) -> None:
    web = deployment.start_web()
    author = Author(deployment)
    with Recorder(web.url) as client:
        client.subscribe(author.instance_id)
        notes = listen(client, "note")
        for _ in range(2):
            deployment.redis.kill()
            time.sleep(1.5)
            deployment.redis.start()
            had = len(notes)

            def arrives(had: int = had) -> bool:
                emit_note(deployment.redis.url, f"instance_{author.instance_id}", tcp=False)
                return len(notes) > had

            client.wait_until(arrives, "a note arrives")


def test_one_process_disconnects_a_client_of_another(deployment: Deployment) -> None:
    web = deployment.start_web()
    with Recorder(web.url) as client, deployment.redis.client() as server:
        message = {"method": "disconnect", "sid": client._client.get_sid(), "namespace": "/", "host_id": "another"}

        def is_out() -> bool:
            server.publish(CHANNEL, socketio.packet.Packet.json.dumps(message))
            return not client.is_connected

        client.wait_until(is_out, "the client is disconnected")


def test_a_message_that_makes_no_sense_does_not_stop_the_queue(deployment: Deployment) -> None:
    web = deployment.start_web()
    author = Author(deployment)
    with Recorder(web.url) as client, deployment.redis.client() as server:
        client.subscribe(author.instance_id)
        notes = listen(client, "note")
        for nonsense in (b"", b"\xff", b"[]", b"7", b"{}", b'{"method":"emit"}', b'{"method":"fly"}', b"[" * 5000):
            server.publish(CHANNEL, nonsense)
            server.publish(instance_channel(deployment.runtime().settings, author.instance_id), nonsense)

        def arrives() -> bool:
            emit_note(deployment.redis.url, f"instance_{author.instance_id}", tcp=False)
            return bool(notes)

        client.wait_until(arrives, "a note arrives")
        task_id = author.play()
        client.wait_for_status(task_id, "COMPLETED")
        assert client.events() == author.events
