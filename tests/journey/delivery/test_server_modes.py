"""The web process in each mode of serving: it starts, serves and ends alike."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from functools import partial

import pytest
import websocket

from tests.harness.deployment import Deployment
from tests.harness.js_recorder import JsRecorder
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author, BusyAuthor

NewDeployment = Callable[..., Deployment]
MODES = ["eventlet", "gevent", "threading"]
every_mode = pytest.mark.parametrize("mode", MODES)


@every_mode
def test_a_task_is_delivered_and_resumed_without_redis(new_deployment: NewDeployment, mode: str) -> None:
    deployment = new_deployment(env={"async_mode": mode})
    web = deployment.start_web()
    author = Author(deployment)
    with Recorder(web.url) as old, ResumingRecorder(web.url) as client:
        old.subscribe(author.instance_id)
        client.follow(author.instance_id)
        with BusyAuthor(author):
            client.wait_for_log(author.instance_id, 30)
            client.drop_and_resume()
            client.wait_for_log(author.instance_id, author.head + 10)
            deployment.redis.kill()
            client.wait_for_log(author.instance_id, author.head + 10)
        head = author.head
        assert client.wait_for_log(author.instance_id, head) == author.events
        old.wait_for_seq(author.instance_id, head)
        assert old.events() == author.events
        deployment.redis.start()
        answer = client.call("subscribe_instance", {"instance_id": "\x00"})
        assert answer["error"]["field"] == "instance_id"
    assert "Traceback" not in web.log_text()


@every_mode
def test_another_programs_emit_arrives(new_deployment: NewDeployment, mode: str) -> None:
    deployment = new_deployment(env={"async_mode": mode})
    web = deployment.start_web()
    author = Author(deployment)
    with Recorder(web.url) as client, deployment.redis.client() as server:
        notes: list[object] = []
        client._client.on("note", notes.append)
        client.subscribe(author.instance_id)
        emit = '{"method":"emit","event":"note","data":[{"a":1}],"namespace":"/","room":"instance_%s"}'

        def arrives() -> bool:
            server.publish("flask-socketio", emit % author.instance_id)
            return bool(notes)

        client.wait_until(arrives, "the note arrives")


@every_mode
def test_the_javascript_client_of_the_promised_protocol_works_by_websocket_alone(
    new_deployment: NewDeployment, mode: str
) -> None:
    deployment = new_deployment(env={"async_mode": mode})
    web = deployment.start_web()
    author = Author(deployment)
    with JsRecorder(web.url) as client:
        client.subscribe(author.instance_id)
        task_id = author.play()
        client.wait_for_status(task_id, "COMPLETED")
        assert client.events() == author.events
        answer = client.call(
            "subscribe_instance", {"instance_id": author.instance_id, "since": {"epoch": "", "seq": 0}}
        )
        assert (answer["mode"], answer["head"]) == ("snapshot", author.head)
        client.unsubscribe(author.instance_id)
        author.play()
        client.call("subscribe_instance", {"instance_id": 7})
        assert client.payloads("error")[-1]["field"] == "instance_id"
        assert len(client.events()) == 8
        assert web.terminate() == 0
        wait_until(lambda: "disconnect" in client.states, "the client sees the end")


def is_out(client: Recorder) -> bool:
    return not client.is_connected


@every_mode
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_with_clients_connected(
    new_deployment: NewDeployment, mode: str, number: signal.Signals
) -> None:
    deployment = new_deployment(env={"async_mode": mode})
    web = deployment.start_web()
    author = Author(deployment)
    clients = [Recorder(web.url).connect() for _ in range(5)]
    for client in clients:
        client.subscribe(author.instance_id)
    author.play()
    web.signal(number)
    assert web.wait() == 0
    for client in clients:
        wait_until(partial(is_out, client), "the connection ends")
        # The library leaves a connection that the other side has closed to the garbage collector.
        client.drop()
    assert "Traceback" not in web.log_text()
    web.start()
    with ResumingRecorder(web.url) as again:
        again.follow(author.instance_id, epoch=author.epoch, seq=3)
        assert again.wait_for_log(author.instance_id, 8) == author.events[3:]


@every_mode
def test_compression_is_not_agreed_to(new_deployment: NewDeployment, mode: str) -> None:
    web = new_deployment(env={"async_mode": mode}).start_web()
    raw = websocket.create_connection(
        web.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket",
        header=["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"],
        timeout=60,
    )
    try:
        assert raw.headers is not None
        assert "sec-websocket-extensions" not in raw.headers
        assert str(raw.recv()).startswith("0{")
    finally:
        raw.close()


@every_mode
def test_it_logs_the_port_that_it_chose(deployment: Deployment, mode: str) -> None:
    program = deployment.command("chosen", ["-m", "swallowtail.app.wsgi"], env={"async_mode": mode, "port": 0})
    program.wait_for_log("listening on http://127.0.0.1:")
    received = re.search(r"^listening on (http://127\.0\.0\.1:(\d+))$", program.log_text(), re.MULTILINE)
    assert received is not None
    assert int(received[2]) > 0
    with Recorder(received[1]) as client:
        assert client.count("connected") == 1
    assert program.terminate() == 0


def test_a_port_in_use_is_reported(deployment: Deployment) -> None:
    web = deployment.start_web()
    program = deployment.command("second", ["-m", "swallowtail.app.wsgi"], env={"port": web.port})
    assert program.wait() == 1
    assert f"cannot listen on 127.0.0.1:{web.port}" in program.log_text()
    assert "Traceback" not in program.log_text()


@pytest.mark.parametrize("mode", ["greenlets", ""])
def test_an_unknown_mode_is_a_setting_that_cannot_be_used(deployment: Deployment, mode: str) -> None:
    program = deployment.command("wrong", ["-m", "swallowtail.app.wsgi"], env={"async_mode": mode, "port": 0})
    assert program.wait() == 2
    assert "SWALLOWTAIL_ASYNC_MODE" in program.log_text()
    assert "Traceback" not in program.log_text()
