"""What a client must not send is refused with an error, and the connection stays open."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import websocket

from tests.harness.deployment import Deployment
from tests.harness.recorder import Recorder
from tests.journey.event_writer import Author
from tests.journey.web_process import author as author
from tests.journey.web_process import deployment as deployment
from tests.journey.web_process import url as url

LIMITS = {"max_subscriptions": 3, "max_body_bytes": 20_000}
ANONYMOUS = "00000000-0000-4000-8000-000000000000"


BAD = [
    ("subscribe_instance", None, "payload"),
    ("subscribe_instance", "demo", "payload"),
    ("subscribe_instance", 7, "payload"),
    ("subscribe_instance", ["demo"], "payload"),
    ("subscribe_instance", ({"instance_id": "demo"}, 1), "payload"),
    ("subscribe_instance", (), "payload"),
    ("subscribe_instance", b"binary", "payload"),
    ("subscribe_instance", {}, "instance_id"),
    ("subscribe_instance", {"instance_id": None}, "instance_id"),
    ("subscribe_instance", {"instance_id": 7}, "instance_id"),
    ("subscribe_instance", {"instance_id": True}, "instance_id"),
    ("subscribe_instance", {"instance_id": ["demo"]}, "instance_id"),
    ("subscribe_instance", {"instance_id": b"demo"}, "instance_id"),
    ("subscribe_instance", {"instance_id": ""}, "instance_id"),
    ("subscribe_instance", {"instance_id": "a" * 65}, "instance_id"),
    ("subscribe_instance", {"instance_id": "de\x00mo"}, "instance_id"),
    ("subscribe_instance", {"instance_id": "demo\n"}, "instance_id"),
    ("subscribe_instance", {"instance_id": "../etc"}, "instance_id"),
    ("subscribe_instance", {"instance_id": "démo"}, "instance_id"),
    ("subscribe_instance", {"instance_id": "demo", "since": 7}, "since"),
    ("subscribe_instance", {"instance_id": "demo", "since": []}, "since"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"seq": 1}}, "since.epoch"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"epoch": 1, "seq": 1}}, "since.epoch"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"epoch": "x" * 65, "seq": 1}}, "since.epoch"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"epoch": "x"}}, "since.seq"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"epoch": "x", "seq": -1}}, "since.seq"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"epoch": "x", "seq": True}}, "since.seq"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"epoch": "x", "seq": "1"}}, "since.seq"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"epoch": "x", "seq": 1.5}}, "since.seq"),
    ("subscribe_instance", {"instance_id": "demo", "since": {"epoch": "x", "seq": 2**63}}, "since.seq"),
    ("unsubscribe_instance", {"instance_id": 7}, "instance_id"),
    ("unsubscribe_instance", None, "payload"),
    ("subscribe_task", {"task_id": "seven"}, "task_id"),
    ("subscribe_task", {"task_id": None}, "task_id"),
    ("unsubscribe_task", {}, "task_id"),
    ("make_me_admin", {"a": 1}, "event"),
    ("message", "hello", "event"),
    ("constructor", None, "event"),
    ("", {}, "event"),
]


def test_bad_input_is_refused_by_name_and_the_connection_stays_up(author: Author, url: str) -> None:
    with Recorder(url) as client:
        for number, (event, payload, field) in enumerate(BAD, 1):
            answer = client.call(event, payload)
            assert answer == {"ok": False, "error": client.payloads("error")[-1]}, (event, payload)
            error = answer["error"]
            assert (error["code"], error["field"], client.count("error")) == ("invalid_input", field, number), payload
            assert set(error) == {"code", "message", "field"}
            assert "Traceback" not in error["message"]
        assert_still_served(client, author)
    assert "Traceback" not in author.deployment.webs[0].log_text()


def test_all_missing_objects_are_refused_alike(author: Author, url: str) -> None:
    with Recorder(url) as client:
        for event, payload in (
            ("subscribe_instance", {"instance_id": "nobody"}),
            ("subscribe_instance", {"instance_id": "nobody", "since": {"epoch": "x", "seq": 1}}),
            ("subscribe_task", {"task_id": ANONYMOUS}),
        ):
            answer = client.call(event, payload)
            assert (answer["ok"], answer["error"]["code"]) == (False, "not_found")
        assert client.call("unsubscribe_instance", {"instance_id": "nobody"})["ok"]
        assert client.call("unsubscribe_task", {"task_id": ANONYMOUS})["ok"]
        assert_still_served(client, author)


def test_a_client_watches_only_so_much(deployment: Deployment, url: str) -> None:
    instances = [deployment.new_instance() for _ in range(4)]
    with Recorder(url) as client:
        answers = [client.call("subscribe_instance", {"instance_id": each}) for each in instances]
        assert [answer["ok"] for answer in answers] == [True, True, True, False]
        assert answers[3]["error"]["code"] == "too_many"
        client.unsubscribe(instances[0])
        assert client.call("subscribe_instance", {"instance_id": instances[3]})["ok"]


#: What is no packet of the protocol, and what is one beyond a limit of ours.
UNREADABLE = [
    "4",
    "42",
    "42{}",
    "42[]",
    '42["subscribe_instance"',
    '42["subscribe_instance",{"instance_id":"demo"}',
    '42["connect",{}]',
    '42["disconnect"]',
    '42["newListener"]',
    "44{}",
    '450-["x"]',
    "49",
]
BEYOND = [
    '4217["subscribe_instance",' + "[" * 9000,
    "42" + "[" * 9000 + "]" * 9000,
    '4599999-["x"]',
    '42["x","' + "a" * 30_000 + '"]',
]


def test_an_invalid_packet_is_refused_and_ends_only_its_connection(author: Author, url: str) -> None:
    bystander = connect_raw(url)
    for text in UNREADABLE:
        raw = connect_raw(url)
        raw.send(text)
        error = read_until(raw, "error")
        assert error["code"] == "invalid_input", text
        assert "Traceback" not in error["message"]
        assert raw.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE, text
        raw.shutdown()  # type: ignore[no-untyped-call]
    assert_goes_on(bystander, author)


def test_packets_beyond_a_limit_are_refused_and_the_connection_stays_up(author: Author, url: str) -> None:
    raw = connect_raw(url)
    for text in BEYOND:
        raw.send(text)
        error = read_until(raw, "error")
        assert error["code"] in ("invalid_input", "too_large"), text[:60]
        assert "Traceback" not in error["message"]
    # A binary event whose attachment fits, which no event of the protocol has.
    raw.send('451-["subscribe_instance",{"_placeholder":true,"num":0}]')
    raw.send_binary(b"\x01")
    assert read_until(raw, "error")["code"] == "invalid_input"
    assert_goes_on(raw, author)


def test_before_a_client_has_joined_its_messages_must_be_small(author: Author, url: str) -> None:
    raw = websocket.create_connection(url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket", timeout=60)
    assert read_text(raw).startswith("0{")
    raw.send('40{"token":"' + "a" * 20_000 + '"}')
    with contextlib.suppress(websocket.WebSocketConnectionClosedException, ConnectionError):
        assert raw.recv_data()[0] == websocket.ABNF.OPCODE_CLOSE
    raw.shutdown()  # type: ignore[no-untyped-call]
    joined = connect_raw(url)
    joined.send('42["x","' + "a" * 30_000 + '"]')
    assert read_until(joined, "error")["code"] == "too_large"
    assert_goes_on(joined, author)


def assert_goes_on(raw: websocket.WebSocket, author: Author) -> None:
    """It is still served, and nothing was thrown."""
    raw.send("42" + json.dumps(["subscribe_instance", {"instance_id": author.instance_id}]))
    assert read_until(raw, "subscribed") == {"instance_id": author.instance_id}
    raw.close()
    assert "Traceback" not in author.deployment.webs[0].log_text()


def test_a_message_that_is_too_large_is_refused_and_a_frame_that_is_too_large_ends_only_its_connection(
    author: Author, url: str
) -> None:
    with Recorder(url) as bystander, Recorder(url) as client:
        answer = client.call("subscribe_instance", {"instance_id": "a" * 30_000})
        assert answer["error"]["code"] == "too_large"
        assert_still_served(client, author)
        connection = client._client.eio.ws
        client.emit("subscribe_instance", {"instance_id": "a" * 1_200_000})
        client.wait_until(lambda: not client.is_connected, "the connection is closed")
        # The library leaves a connection that the other side has closed to the garbage collector.
        connection.shutdown()
        assert_still_served(bystander, author)


def connect_raw(url: str) -> websocket.WebSocket:
    """A Socket.IO connection in frames."""
    raw = websocket.create_connection(url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket", timeout=60)
    assert read_text(raw).startswith("0{")
    raw.send("40")
    assert read_text(raw).startswith("40{")
    assert read_until(raw, "connected")
    return raw


def read_text(raw: websocket.WebSocket) -> str:
    """The next frame."""
    text = raw.recv()
    assert isinstance(text, str)
    return text


def read_until(raw: websocket.WebSocket, event: str) -> Any:
    """The payload of the next event of this name."""
    while True:
        text = read_text(raw)
        if text == "2":
            raw.send("3")
        elif text.startswith("42"):
            name, payload = json.loads(text[2:])
            if name == event:
                return payload


def assert_still_served(client: Recorder, author: Author) -> None:
    """The connection is up and delivers."""
    client.subscribe(author.instance_id)
    task_id = author.play(0)
    client.wait_for_status(task_id, "COMPLETED")
    assert client.is_connected
