"""A connection is cut only while its handler waits for the client; a busy handler keeps its response."""

from __future__ import annotations

import math
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Request, Response

from swallowtail.app.web.accept.gevent_handler import make_gevent_handler
from swallowtail.app.web.accept.http_server_handlers import make_werkzeug_handler, report_responses
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from tests.harness.waiting import wait_until

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n"
POLL = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"


class Scene:
    """A threaded server whose application works until `go` is set."""

    def __init__(self) -> None:
        self.deadlines = ReadDeadlines(600, 75)
        self.works, self.go = threading.Event(), threading.Event()
        self.server = ThreadedWSGIServer(
            "127.0.0.1", 0, report_responses(self.answer), make_werkzeug_handler(self.deadlines, 75)
        )
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.client = socket.create_connection(("127.0.0.1", self.server.server_port), timeout=30)

    def answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        request_bytes = request.get_data() if request.method == "POST" else b"nothing"
        self.works.set()
        self.go.wait(30)
        return Response(request_bytes)(environ, start_response)

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
    scene = Scene()
    yield scene
    scene.close()


def cut_late(deadlines: ReadDeadlines) -> None:
    for _ in range(3):
        deadlines.check(math.inf)


@pytest.mark.parametrize("cut", [ReadDeadlines.shed, cut_late])
@pytest.mark.parametrize("request_bytes", [CHUNKED + b"0\r\n\r\n", POLL])
def test_a_request_being_handled_is_not_cut_and_gets_its_response(
    scene: Scene, request_bytes: bytes, cut: Callable[[ReadDeadlines], Any]
) -> None:
    scene.client.sendall(request_bytes)
    assert scene.works.wait(30)
    assert not cut(scene.deadlines)
    scene.go.set()
    assert scene.read().endswith(b"all" if request_bytes[:4] == b"POST" else b"nothing")


def test_a_request_with_an_incomplete_body_is_shed(scene: Scene) -> None:
    scene.client.sendall(CHUNKED)
    wait_until(scene.deadlines.shed, "its handler waits for the rest")
    assert scene.deadlines.shed_count == 1
    scene.go.set()
    scene.read()
    wait_until(lambda: not scene.deadlines._due, "it is over")


def test_bytes_after_an_answered_request_keep_no_connection(scene: Scene) -> None:
    scene.client.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert scene.works.wait(30)
    scene.client.sendall(b"more")
    scene.go.set()
    assert scene.read().endswith(b"nothing")
    wait_until(lambda: not scene.deadlines._due, "it has been closed, though its client has not closed it")


class WritingHandler:
    """The part of gevent's handler that writes."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.rfile = None

    def _sendall(self, data: bytes) -> None:
        self.socket.sendall(data)


def test_a_client_that_reads_nothing_of_a_response_is_disconnected_under_gevent() -> None:
    server_side, client_side = socket.socketpair()
    with server_side, client_side:
        handler = make_gevent_handler(WritingHandler, ReadDeadlines(600, 75), 0.05)(server_side)
        handler._sendall(b"little")
        with pytest.raises(TimeoutError):
            handler._sendall(b"x" * 10**7)
        assert client_side.recv(6) == b"little"


def test_a_connection_that_is_forgotten_while_it_is_shed_is_not_counted_for_ever() -> None:
    """The kind: a count that is raised after its end was seen. The acceptor forgets from another thread."""
    deadlines, peer = ReadDeadlines(600, 75), ("192.0.2.1", 1)

    class ForgottenWhileShed:
        def is_reading(self) -> bool:
            return True

        def is_waiting(self) -> bool:
            return True

        def cut(self, how: int) -> None:
            deadlines.forget(peer)

    deadlines.begin(ForgottenWhileShed(), peer)
    assert deadlines.shed()
    assert deadlines.shed_count == 0
