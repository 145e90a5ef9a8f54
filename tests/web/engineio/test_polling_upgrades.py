"""Upgrades of a polling session: what stays in memory, where packets are sent, and which requests are refused."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engineio import packet
from werkzeug.test import TestResponse

from swallowtail.app.web.engineio.stock_websocket import HANDLED, SOCKET
from swallowtail.app.web.websocket.frames import pack
from tests.conformance.echo import add_echo
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until
from tests.web.app_fixture import WebApp
from tests.web.engineio.test_polling import HERE, Caller
from tests.web.engineio.test_stock_websocket import FINAL, TEXT, frame

KEY = base64.b64encode(bytes(16)).decode()
HEADERS = {
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": KEY,
}
#: An incomplete frame.
HALF = frame(b"4" * 900)[:-1]


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    web_app = WebApp(make_settings(var_dir=tmp_path, async_mode="threading"))
    client = Caller(web_app)
    add_echo(client.server)
    yield client
    web_app.close()


def end_http() -> None:
    """End a connection that was a websocket, as with Werkzeug."""
    raise ConnectionError


class UpgradeAttempt:
    """A websocket that a session may be upgraded to; without a session when `sid` is empty."""

    def __init__(self, caller: Caller, *frames: bytes, sid: str | None = None, **headers: str) -> None:
        self._caller = caller
        self._sid = caller.sid if sid is None else sid
        self._headers = {**HEADERS, **headers}
        self.client, self._server = socket.socketpair()
        self.client.settimeout(10)
        self.client.sendall(b"".join(frames))
        self.thread = threading.Thread(target=self.request, daemon=True)

    def request(self) -> TestResponse | None:
        """Request the websocket and return at its end; return the response if it was refused."""
        address = "/socket.io/?EIO=4&transport=websocket" + (f"&sid={self._sid}" if self._sid else "")
        environ = {**HERE, **self._headers, SOCKET: self._server, HANDLED: end_http}
        try:
            return self._caller.client.get(address, environ_overrides=environ)
        except ConnectionError:
            return None
        finally:
            self._server.close()

    def start(self) -> None:
        """Open it in a thread."""
        self.thread.start()
        self.read_until(b"\r\n\r\n")
        wait_until(lambda: self._caller.session.upgrading, "the upgrade has begun")

    def read_until(self, end: bytes) -> bytes:
        """Return what arrives, up to these bytes."""
        data = b""
        while not data.endswith(end):
            more = self.client.recv(1)
            assert more, data
            data += more
        return data

    def close(self) -> None:
        """Close the client's side."""
        self.client.close()
        if self.thread.ident:
            self.thread.join()


def start_poll(caller: Caller) -> Callable[[], list[str]]:
    """Start a poll; return a function that waits for its packets."""
    received: list[list[str]] = []
    thread = threading.Thread(target=lambda: received.append(caller.poll()), daemon=True)
    thread.start()
    wait_until(lambda: bool(received) or caller.session._polling.locked(), "it polls")

    def wait() -> list[str]:
        thread.join(30)
        return received[0]

    return wait


@pytest.mark.parametrize(
    "frames",
    [
        [frame(b"6"), HALF],
        [frame(b"x"), HALF],
        [frame(b"4", FINAL | 2), HALF],
        [frame(b"2probe"), frame(b"6"), HALF],
        [frame(b"2probe"), frame(b"x"), HALF],
        [frame(b"4" * 900, TEXT), frame(b"", 0)],
        [frame(b"4" * 900, TEXT), frame(b"\xff", FINAL), HALF],
        [frame(b"4" * 900, TEXT), b"GET / HTTP/1.1\r\n\r\n"],
    ],
    ids=["no probe", "no packet", "binary", "no upgrade", "no packet then", "empty fragment", "no text", "no frame"],
)
def test_a_failed_upgrade_leaves_nothing_of_its_message_in_memory(caller: Caller, frames: list[bytes]) -> None:
    budget = caller.session._budgets.incoming
    for _ in range(100):
        failed = UpgradeAttempt(caller, *frames)
        assert failed.request() is None
        failed.close()
    assert (budget.used, budget._sizes) == (0, {})
    assert caller.post('42["message","on"]').status_code == 200
    received: list[str] = []
    while '42["message-back","on"]' not in received:
        received += caller.poll()


def test_a_closed_websocket_leaves_nothing_in_memory(caller: Caller) -> None:
    budget = caller.session._budgets.incoming
    closed = UpgradeAttempt(caller, frame(b"41"), frame(b"1"), HALF, sid="")
    assert closed.request() is None
    closed.close()
    assert (budget.used, budget._sizes) == (0, {})


def test_during_a_silent_upgrade_packets_are_polled_and_each_poll_waits(caller: Caller) -> None:
    silent = UpgradeAttempt(caller)
    silent.start()
    assert caller.post('42["message",1]', '42["message",2]').status_code == 200
    assert caller.poll() == ['42["message-back",1]', '42["message-back",2]']
    for pkt in (packet.Packet(packet.PING), packet.Packet(packet.MESSAGE, '2["late"]')):
        polled = start_poll(caller)
        caller.session.send(pkt)
        assert polled() == [pkt.encode()]
    silent.close()
    assert (caller.session.upgrading, caller.session.upgraded) == (False, False)


def test_each_poll_ends_after_the_probe_and_no_packet_is_lost(caller: Caller) -> None:
    probed = UpgradeAttempt(caller)
    probed.start()
    polled = start_poll(caller)
    probed.client.sendall(frame(b"2probe"))
    probed.read_until(pack(b"3probe"))
    assert polled() == ["6"]
    # A client whose poll ended before the probe's answer polls once more.
    assert caller.poll() == ["6"]
    caller.session.send(packet.Packet(packet.MESSAGE, "2[1]"))
    assert caller.poll() == ["42[1]"]
    caller.session.send(packet.Packet(packet.MESSAGE, "2[2]"))
    probed.client.sendall(frame(b"5"))
    probed.read_until(pack(b"42[2]"))
    caller.session.send(packet.Packet(packet.MESSAGE, "2[3]"))
    assert probed.read_until(pack(b"42[3]")) == pack(b"42[3]")
    assert caller.status() == 400
    probed.close()


def test_a_noop_of_a_failed_upgrade_ends_one_poll(caller: Caller) -> None:
    failed = UpgradeAttempt(caller, frame(b"2probe"), frame(b"6"))
    failed.request()
    failed.close()
    silent = UpgradeAttempt(caller)
    silent.start()
    assert caller.poll() == ["6"]
    polled = start_poll(caller)
    caller.session.send(packet.Packet(packet.PING))
    assert polled() == ["2"]
    silent.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_SEC_WEBSOCKET_KEY": "short"},
        {"HTTP_SEC_WEBSOCKET_KEY": ""},
        {"HTTP_SEC_WEBSOCKET_VERSION": "8"},
        {"HTTP_CONNECTION": "keep-alive"},
        {"HTTP_UPGRADE": "irc"},
    ],
)
@pytest.mark.parametrize("has_session", [True, False])
def test_an_invalid_upgrade_request_is_refused(caller: Caller, headers: dict[str, str], has_session: bool) -> None:
    refused = UpgradeAttempt(caller, sid=None if has_session else "", **headers)
    response = refused.request()
    assert response is not None
    assert (response.status_code, response.json) == (400, {"code": 3, "message": "Bad request"})
    assert refused.client.recv(1) == b"", "nothing else was sent"
    refused.close()
    assert list(caller.server.eio.sockets) == [caller.sid]
    assert not caller.session.upgrading


def test_a_second_upgrade_is_refused_during_the_first(caller: Caller) -> None:
    first = UpgradeAttempt(caller)
    first.start()
    second = UpgradeAttempt(caller)
    response = second.request()
    second.close()
    assert response is not None
    assert (response.status_code, response.json) == (400, {"code": 3, "message": "Bad request"})
    first.client.sendall(frame(b"2probe") + frame(b"5"))
    first.read_until(pack(b"3probe"))
    wait_until(lambda: caller.session.upgraded, "it is upgraded")
    first.close()
