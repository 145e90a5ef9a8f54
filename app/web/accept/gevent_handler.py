"""Makes the request handler for gevent's WSGI server."""

from __future__ import annotations

from functools import partial
from typing import Any

from swallowtail.app.web.accept.head_check import with_strict_head_in_gevent
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.request_input import InputTracking, TrackedInput
from swallowtail.app.web.engineio.stock_websocket import HANDLED, SOCKET

#: Bytes per write.
_WRITE_SIZE = 65_536


def make_gevent_handler(handler: type[Any], deadlines: ReadDeadlines, send_timeout: float) -> type[Any]:
    """Return gevent's `WSGIHandler` with a read deadline, a send timeout and the strict head check."""
    return with_strict_head_in_gevent(_with_deadlines(_with_send_timeout(handler, send_timeout), deadlines))


def _with_send_timeout(handler: type[Any], seconds: float) -> type[Any]:
    """Disconnect a client that reads nothing for so many seconds; the other servers do so by themselves."""

    class TimeoutHandler(handler):  # type: ignore[misc] # the library has no types
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.socket.settimeout(seconds)

        def _sendall(self, data: bytes) -> None:
            # In parts: the timeout covers one call, and a slow client that continues to read keeps its connection.
            for start in range(0, len(data), _WRITE_SIZE):
                super()._sendall(data[start : start + _WRITE_SIZE])

    return TimeoutHandler


def _with_deadlines(handler: type[Any], deadlines: ReadDeadlines) -> type[Any]:
    class DeadlineHandler(InputTracking, handler):  # type: ignore[misc] # the library has no types
        rfile: Any
        has_served = False

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.source = self.rfile = TrackedInput(self.rfile)

        def find_socket(self) -> Any:
            # Not gevent's own socket, whose shutdown would raise in the reading greenlet.
            return self.socket._sock

        def handle(self) -> None:
            try:
                super().handle()
            finally:
                deadlines.end(self)

        def handle_one_request(self) -> Any:
            self.body = None
            deadlines.begin(self, self.client_address, idle=self.has_served)
            result = super().handle_one_request()
            self.has_served = True
            return result

        def read_request(self, raw_requestline: str) -> Any:
            if self.has_served:
                deadlines.begin(self)
            return super().read_request(raw_requestline)

        def get_environ(self) -> Any:
            environ = super().get_environ()
            self.body = self.wsgi_input
            environ[SOCKET], environ[HANDLED] = self.socket, partial(setattr, self, "close_connection", True)
            return environ

    return DeadlineHandler
