"""Long polling: what a request may contain, what a response contains, and which sessions are forgotten."""

from __future__ import annotations

import io
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engineio import packet, payload
from werkzeug.test import Client, TestResponse

from tests.conformance.echo import add_echo
from tests.conformance.line import SEPARATOR, read_open
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until
from tests.web.app_fixture import WebApp

POLLING = "/socket.io/?EIO=4&transport=polling"
MOST = 200
HERE = {"REMOTE_ADDR": "127.0.0.1"}


class Caller:
    """A client that polls without a library."""

    def __init__(self, web_app: WebApp) -> None:
        self.client = Client(web_app.app)
        self.server = web_app.app.extensions["swallowtail"].sessions.server
        self.sid = read_open(self.client.get(POLLING, environ_base=HERE).text)["sid"]
        self.post("40")
        self.poll()

    def post(self, *packets: str) -> TestResponse:
        return self.client.post(self.address, data=SEPARATOR.join(packets), environ_base=HERE)

    def poll(self) -> list[str]:
        response = self.client.get(self.address, environ_base=HERE)
        assert response.status_code == 200
        # Read as by python-engineio's client, which raises when there are too many packets.
        read = payload.Payload(encoded_payload=response.text).packets
        return [pkt.encode() for pkt in read]

    def status(self) -> int:
        return self.client.get(self.address, environ_base=HERE).status_code

    @property
    def address(self) -> str:
        return f"{POLLING}&sid={self.sid}"

    @property
    def session(self) -> Any:
        return self.server.eio.sockets[self.sid]


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    more: dict[str, Any] = {"max_post_packets": MOST, "client_rate": MOST}
    settings = make_settings(var_dir=tmp_path, async_mode="threading", **more)
    web_app = WebApp(settings)
    client = Caller(web_app)
    add_echo(client.server)
    yield client
    web_app.close()


def test_the_python_client_can_read_every_response_however_many_packets_wait(caller: Caller) -> None:
    caller.server.manager.emit("note", 0, namespace="/", ignore_queue=True)
    assert caller.post('42["burst",100]').status_code == 200
    received: list[str] = []
    while not received or received[-1] != '42["note",99]':
        received += caller.poll()
    assert received[1:] == [f'42["note",{number}]' for number in range(100)]


def test_all_packets_of_a_request_are_handled(caller: Caller) -> None:
    assert caller.post(*[f'42{number}["message-with-ack"]' for number in range(100, 150)]).text == "ok"
    received: list[str] = []
    while len(received) < 50:
        received += caller.poll()
    assert received == [f"43{number}[]" for number in range(100, 150)]


def test_too_many_packets_at_once_are_not_handled_and_end_the_session(caller: Caller) -> None:
    assert caller.post(*['42["message"]'] * (MOST + 1)).status_code == 400
    assert caller.status() == 400


def test_packets_beyond_the_rate_of_a_client_wait(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(caller.server.eio, "sleep", pauses.append)
    monkeypatch.setattr(caller.session, "_settings", caller.session._settings.model_copy(update={"client_rate": 20}))
    assert caller.post(*['42["message"]'] * 65).status_code == 200
    assert pauses == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("body", ["abc", "", "7", "\u0664", "4\x1e", "\x1e4", "bA==\x1eb=", "40\x1ex", '40\x1e7["x"]'])
def test_an_invalid_payload_is_not_handled_and_ends_the_session(caller: Caller, body: str) -> None:
    assert caller.post('42["message"]', body).status_code == 400
    assert (caller.status(), caller.post("3").status_code) == (400, 400)
    assert caller.sid not in caller.server.eio.sockets


def test_packets_without_a_meaning_for_a_server_are_ignored(caller: Caller) -> None:
    assert caller.post("6", "5", "2probe", "0{}", '421["message-with-ack"]').status_code == 200
    assert caller.poll() == ["431[]"]


def test_a_payload_above_the_limit_is_refused(caller: Caller) -> None:
    assert caller.post("4" * (caller.server.eio.max_http_buffer_size + 1)).status_code == 413


def test_before_a_client_joins_a_namespace_only_small_payloads_are_accepted(caller: Caller) -> None:
    big = f'42["message","{"a" * 20_000}"]'
    assert caller.post(big).status_code == 200
    caller.session.set_max_message(caller.session._settings.max_opening_bytes)
    assert caller.post(big).status_code == 413


def test_a_second_poll_ends_the_session_and_the_first_gets_a_close_packet(caller: Caller) -> None:
    first: list[list[str]] = []
    thread = threading.Thread(target=lambda: first.append(caller.poll()))
    thread.start()
    wait_until(lambda: caller.session._polling.locked(), "it polls")
    assert caller.status() == 400
    thread.join()
    assert (first, caller.status()) == ([["1"]], 400)


def test_a_close_packet_of_the_client_ends_its_poll_with_a_noop(caller: Caller) -> None:
    first: list[list[str]] = []
    thread = threading.Thread(target=lambda: first.append(caller.poll()))
    thread.start()
    wait_until(lambda: caller.session._polling.locked(), "it polls")
    assert caller.post("1").status_code == 200
    thread.join()
    assert (first, caller.status()) == ([["6"]], 400)


def test_the_session_of_a_client_without_pongs_is_forgotten(caller: Caller) -> None:
    caller.session.last_ping = time.time() - 1000
    assert caller.post("3").status_code == 400
    assert caller.sid not in caller.server.eio.sockets


def test_packets_that_are_left_when_the_server_ends_a_session_can_be_fetched(caller: Caller) -> None:
    caller.post('42["burst",40]')
    caller.server.eio.disconnect(caller.sid)
    received: list[str] = []
    while not received or received[-1] != "1":
        received += caller.poll()
    assert received == [*[f'42["note",{number}]' for number in range(40)], "1"]
    assert caller.status() == 400


def test_a_noop_without_a_poll_is_not_sent_over_a_websocket(caller: Caller) -> None:
    session = caller.session
    session.upgraded = True
    for kind, data in ((packet.NOOP, None), (packet.MESSAGE, "2[1]"), (packet.NOOP, None), (packet.MESSAGE, "2[2]")):
        session.queue.put(packet.Packet(kind, data))
    assert [pkt.data for _ in range(2) for pkt in session.poll()] == ["2[1]", "2[2]"]


@pytest.mark.parametrize(
    ("method", "query", "message"),
    [
        ("GET", "EIO=4", "Transport unknown"),
        ("GET", "EIO=4&transport=", "Transport unknown"),
        ("GET", "EIO=4&transport=abc", "Transport unknown"),
        ("GET", "EIO=4&transport=polling&sid=unknown", "Session ID unknown"),
        ("POST", "EIO=4&transport=polling&sid=unknown", "Session ID unknown"),
        ("POST", "EIO=4&transport=polling", "Bad handshake method"),
        ("PUT", "EIO=4&transport=polling", "Bad handshake method"),
        ("GET", "EIO=4&transport=websocket", "Bad request"),
        ("GET", "EIO=3&transport=polling", "Unsupported protocol version"),
        ("GET", "transport=polling", "Unsupported protocol version"),
    ],
)
def test_an_invalid_request_is_refused_with_a_reason(caller: Caller, method: str, query: str, message: str) -> None:
    response = caller.client.open(f"/socket.io/?{query}", method=method, environ_base=HERE)
    assert (response.status_code, response.json["message"]) == (400, message)  # type: ignore[index]


def test_a_client_that_connects_twice_gets_a_close_packet(caller: Caller) -> None:
    assert caller.post("40").status_code == 200
    assert caller.poll() == ["1"]
    assert caller.status() == 400


def test_an_event_outside_of_a_namespace_ends_the_session(caller: Caller) -> None:
    assert caller.post("41", '42["message"]').status_code == 200
    assert caller.poll() == ["1"]
    assert caller.status() == 400


def test_an_invalid_packet_is_answered_before_the_session_ends(caller: Caller) -> None:
    assert caller.post("4abc").status_code == 200
    answer, end = caller.poll()
    assert answer.startswith('42["error",{"code":"invalid_input"')
    assert end == "1"


@pytest.mark.parametrize(
    ("accepted", "size", "encoding"),
    [
        ("gzip", 2000, "gzip"),
        ("br, deflate;q=0.5", 2000, "deflate"),
        ("identity", 2000, None),
        ("", 2000, None),
        ("gzip", 100, None),
    ],
)
def test_long_responses_are_compressed_for_clients_that_accept_it(
    caller: Caller, accepted: str, size: int, encoding: str | None
) -> None:
    assert caller.post(f'42["message","{"a" * size}"]').status_code == 200
    response = caller.client.get(caller.address, headers={"Accept-Encoding": accepted}, environ_base=HERE)
    assert response.headers.get("Content-Encoding") == encoding
    body = zlib.decompress(response.data, zlib.MAX_WBITS | 32) if encoding else response.data
    assert body == f'42["message-back","{"a" * size}"]'.encode()


def test_a_chunked_payload_is_accepted_up_to_the_size_of_a_message(caller: Caller) -> None:
    def post(body: bytes) -> int:
        environ = {**HERE, "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        response = caller.client.post(caller.address, input_stream=io.BytesIO(body), environ_overrides=environ)
        return response.status_code

    assert post(b'42["message","in chunks"]') == 200
    assert caller.poll() == ['42["message-back","in chunks"]']
    assert post(b"4" + b"a" * caller.session.max_message) == 413


@pytest.mark.parametrize("missing", [1, len('\x1e42["message",1234]'), len('42["message",1]\x1e42["message",1234]')])
def test_a_truncated_payload_is_not_handled_and_ends_the_session(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    whole = b'42["message",1]\x1e42["message",1234]'
    handled: list[Any] = []
    ends: list[str] = []
    monkeypatch.setattr(caller.session, "receive", handled.append)
    monkeypatch.setattr(caller.server.eio, "_trigger_event", lambda kind, sid, why, **_: ends.append(why))
    body = io.BytesIO(whole[:-missing])
    environ = {**HERE, "wsgi.input": body, "CONTENT_LENGTH": str(len(whole))}
    assert caller.client.post(caller.address, environ_overrides=environ).status_code == 400
    assert (handled, ends) == ([], [caller.server.eio.reason.TRANSPORT_ERROR])
    assert caller.sid not in caller.server.eio.sockets
