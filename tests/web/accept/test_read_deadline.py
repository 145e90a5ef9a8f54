"""A server's handler tells whether it waits for its client: it is cut only then, and keeps its answer otherwise."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Request, Response

from swallowtail.app.web.accept.read_deadline import ReadDeadlines, hurry_in_gevent
from swallowtail.app.web.accept.threaded_server import _make_handler, _telling
from tests.harness.waiting import wait_until

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n"
POLL = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"


class Scene:
    """A server with threads, whose application works until `go` is set."""

    def __init__(self) -> None:
        self.readings = ReadDeadlines(600, 75)
        self.works, self.go = threading.Event(), threading.Event()
        self.server = ThreadedWSGIServer("127.0.0.1", 0, _telling(self.answer), _make_handler(self.readings, 75))
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.client = socket.create_connection(("127.0.0.1", self.server.server_port), timeout=30)

    def answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        said = request.get_data() if request.method == "POST" else b"nothing"
        self.works.set()
        self.go.wait(30)
        return Response(said)(environ, start_response)

    def read(self) -> bytes:
        return b"".join(iter(lambda: self.client.recv(1000), b""))

    def close(self) -> None:
        self.go.set()
        self.client.close()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def cut_late(readings: ReadDeadlines) -> None:
    for _ in range(3):
        readings.look(math.inf)


@pytest.mark.parametrize("cut", [ReadDeadlines.shed, cut_late])
@pytest.mark.parametrize("said", [CHUNKED + b"0\r\n\r\n", POLL])
def test_a_request_in_work_is_not_cut_and_its_answer_comes(
    scene: Scene, said: bytes, cut: Callable[[ReadDeadlines], Any]
) -> None:
    scene.client.sendall(said)
    assert scene.works.wait(30)
    assert not cut(scene.readings)
    scene.go.set()
    assert scene.read().endswith(b"all" if said[:4] == b"POST" else b"nothing")


def test_one_whose_body_is_not_all_there_makes_room(scene: Scene) -> None:
    scene.client.sendall(CHUNKED)
    wait_until(scene.readings.shed, "its handler waits for the rest")
    assert scene.readings.leaving == 1
    scene.go.set()
    scene.read()
    wait_until(lambda: not len(scene.readings), "it is over")


def test_what_comes_after_a_request_that_was_answered_keeps_no_place(scene: Scene) -> None:
    scene.client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert scene.works.wait(30)
    scene.client.sendall(b"more")
    scene.go.set()
    assert scene.read().endswith(b"nothing")
    wait_until(lambda: not len(scene.readings), "it has been closed, though its client has not closed it")


class Plain:
    """As much of gevent's handler as writes."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.rfile = None

    def _sendall(self, data: bytes) -> None:
        self.socket.sendall(data)


def test_who_takes_nothing_of_an_answer_keeps_no_place_under_gevent() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        handler = hurry_in_gevent(Plain, ReadDeadlines(600, 75), 0.05)(ours)
        handler._sendall(b"little")
        with pytest.raises(TimeoutError):
            handler._sendall(b"x" * 10**7)
        assert theirs.recv(6) == b"little"


def test_a_connection_that_is_forgotten_while_it_is_cut_is_not_counted_for_ever() -> None:
    """The kind: a count that is raised after its end was seen. The gate forgets from another thread."""
    readings, peer = Readings(600, 75), ("192.0.2.1", 1)

    class ForgottenWhileCut:
        def is_reading(self) -> bool:
            return True

        def is_waiting(self) -> bool:
            return True

        def cut(self, how: int) -> None:
            readings.forget(peer)

    readings.begin(ForgottenWhileCut(), peer)
    assert readings.shed()
    assert readings.leaving == 0
