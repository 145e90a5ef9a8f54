"""A session that polls and is tried to be upgraded: what it keeps, who is told what, and which upgrade is refused."""

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
ASKED = {
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "keep-alive, Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": KEY,
}
#: A frame that never comes whole.
HALF = frame(b"4" * 900)[:-1]


@pytest.fixture
def caller(tmp_path: Path) -> Iterator[Caller]:
    web_app = WebApp(make_settings(var_dir=tmp_path, async_mode="threading"))
    made = Caller(web_app)
    add_echo(made.server)
    yield made
    web_app.close()


def leave() -> None:
    """End a connection that has been a websocket, as Werkzeug has it."""
    raise ConnectionError


class Try:
    """A websocket that a session may be upgraded to; one without a session when `sid` is empty."""

    def __init__(self, caller: Caller, *said: bytes, sid: str | None = None, **asked: str) -> None:
        self._caller = caller
        self._sid = caller.sid if sid is None else sid
        self._asked = {**ASKED, **asked}
        self.client, self._server = socket.socketpair()
        self.client.settimeout(10)
        self.client.sendall(b"".join(said))
        self.thread = threading.Thread(target=self.ask, daemon=True)

    def ask(self) -> TestResponse | None:
        """Ask for it, until it is over; the answer when it was no websocket."""
        address = "/socket.io/?EIO=4&transport=websocket" + (f"&sid={self._sid}" if self._sid else "")
        environ = {**HERE, **self._asked, SOCKET: self._server, HANDLED: leave}
        try:
            return self._caller.client.get(address, environ_overrides=environ)
        except ConnectionError:
            return None
        finally:
            self._server.close()

    def start(self) -> None:
        """Have it stand while the test goes on."""
        self.thread.start()
        self.take_until(b"\r\n\r\n")
        wait_until(lambda: self._caller.session.upgrading, "it stands")

    def take_until(self, end: bytes) -> bytes:
        """What comes, up to these bytes."""
        told = b""
        while not told.endswith(end):
            more = self.client.recv(1)
            assert more, told
            told += more
        return told

    def end(self) -> None:
        """Leave."""
        self.client.close()
        if self.thread.ident:
            self.thread.join()


def poll_aside(caller: Caller) -> Callable[[], list[str]]:
    """Have a poll open; returns what waits for its answer."""
    heard: list[list[str]] = []
    thread = threading.Thread(target=lambda: heard.append(caller.poll()), daemon=True)
    thread.start()
    wait_until(lambda: bool(heard) or caller.session._polling.locked(), "it polls")

    def answer() -> list[str]:
        thread.join(30)
        return heard[0]

    return answer


@pytest.mark.parametrize(
    "said",
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
    ids=["no probe", "no packet", "binary", "no upgrade", "no packet then", "empty piece", "no text", "no frame"],
)
def test_an_upgrade_that_fails_keeps_nothing_of_what_its_client_sent(caller: Caller, said: list[bytes]) -> None:
    budget = caller.session._budgets.incoming
    for _ in range(100):
        failed = Try(caller, *said)
        assert failed.ask() is None
        failed.end()
    assert (budget.used, budget._sizes) == (0, {})
    assert caller.post('42["message","on"]').status_code == 200
    heard: list[str] = []
    while '42["message-back","on"]' not in heard:
        heard += caller.poll()


def test_a_websocket_of_its_own_keeps_nothing_once_it_is_over(caller: Caller) -> None:
    budget = caller.session._budgets.incoming
    over = Try(caller, frame(b"41"), frame(b"1"), HALF, sid="")
    assert over.ask() is None
    over.end()
    assert (budget.used, budget._sizes) == (0, {})


def test_while_an_upgrade_is_silent_everything_comes_by_polling_and_each_poll_waits(caller: Caller) -> None:
    silent = Try(caller)
    silent.start()
    assert caller.post('42["message",1]', '42["message",2]').status_code == 200
    assert caller.poll() == ['42["message-back",1]', '42["message-back",2]']
    for pkt in (packet.Packet(packet.PING), packet.Packet(packet.MESSAGE, '2["late"]')):
        polled = poll_aside(caller)
        caller.session.send(pkt)
        assert polled() == [pkt.encode()]
    silent.end()
    assert (caller.session.upgrading, caller.session.upgraded) == (False, False)


def test_each_poll_ends_once_the_websocket_was_probed_and_nothing_is_lost_on_the_way(caller: Caller) -> None:
    tried = Try(caller)
    tried.start()
    polled = poll_aside(caller)
    tried.client.sendall(frame(b"2probe"))
    tried.take_until(pack(b"3probe"))
    assert polled() == ["6"]
    # A client whose poll ended before it was told polls once more.
    assert caller.poll() == ["6"]
    caller.session.send(packet.Packet(packet.MESSAGE, "2[1]"))
    assert caller.poll() == ["42[1]"]
    caller.session.send(packet.Packet(packet.MESSAGE, "2[2]"))
    tried.client.sendall(frame(b"5"))
    tried.take_until(pack(b"42[2]"))
    caller.session.send(packet.Packet(packet.MESSAGE, "2[3]"))
    assert tried.take_until(pack(b"42[3]")) == pack(b"42[3]")
    assert caller.status() == 400
    tried.end()


def test_a_noop_left_by_an_upgrade_that_failed_ends_one_poll_of_the_next(caller: Caller) -> None:
    failed = Try(caller, frame(b"2probe"), frame(b"6"))
    failed.ask()
    failed.end()
    silent = Try(caller)
    silent.start()
    assert caller.poll() == ["6"]
    polled = poll_aside(caller)
    caller.session.send(packet.Packet(packet.PING))
    assert polled() == ["2"]
    silent.end()


@pytest.mark.parametrize(
    "asked",
    [
        {"HTTP_SEC_WEBSOCKET_KEY": "short"},
        {"HTTP_SEC_WEBSOCKET_KEY": ""},
        {"HTTP_SEC_WEBSOCKET_VERSION": "8"},
        {"HTTP_CONNECTION": "keep-alive"},
        {"HTTP_UPGRADE": "irc"},
    ],
)
@pytest.mark.parametrize("has_session", [True, False])
def test_what_asks_for_no_websocket_is_refused(caller: Caller, asked: dict[str, str], has_session: bool) -> None:
    refused = Try(caller, sid=None if has_session else "", **asked)
    answer = refused.ask()
    assert answer is not None
    assert (answer.status_code, answer.json) == (400, {"code": 3, "message": "Bad request"})
    assert refused.client.recv(1) == b"", "nothing was said beside the answer"
    refused.end()
    assert list(caller.server.eio.sockets) == [caller.sid]
    assert not caller.session.upgrading


def test_a_second_websocket_while_one_is_tried_is_refused_and_the_first_goes_on(caller: Caller) -> None:
    first = Try(caller)
    first.start()
    second = Try(caller)
    answer = second.ask()
    second.end()
    assert answer is not None
    assert (answer.status_code, answer.json) == (400, {"code": 3, "message": "Bad request"})
    first.client.sendall(frame(b"2probe") + frame(b"5"))
    first.take_until(pack(b"3probe"))
    wait_until(lambda: caller.session.upgraded, "it is upgraded")
    first.end()
