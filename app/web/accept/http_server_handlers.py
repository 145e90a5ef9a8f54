"""Makes request handlers for eventlet's and Werkzeug's WSGI servers, with read deadline and strict head check."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

from werkzeug.serving import WSGIRequestHandler

from swallowtail.app.web.accept.head_check import REFUSAL, RecordedLines, is_chunked
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.request_input import CountedBody, InputTracking, TrackedInput
from swallowtail.app.web.engineio.stock_websocket import HANDLED, SOCKET

#: Key in the WSGI environment: a function to call after the response, before the server reads the rest of the body.
_RESPONDED = "swallowtail.responded"


def make_eventlet_handler(
    handler: type[Any], deadlines: ReadDeadlines, end_http: Callable[[], None], on_close: Callable[[Any], None]
) -> type[Any]:
    """Return `eventlet.wsgi.HttpProtocol` with a read deadline and the strict head check.

    `end_http` makes the server expect no further request; `on_close` gets the address of each ended connection.
    """

    class EventletHandler(_guard_handler(handler, deadlines)):  # type: ignore[misc] # made at run time
        def __init__(self, state: Any, server: Any) -> None:
            try:
                super().__init__(state, server)
            finally:
                on_close(state[0])

        def get_environ(self) -> Any:
            environ = super().get_environ()
            self.body = environ["wsgi.input"]
            environ[SOCKET], environ[HANDLED] = self.connection, end_http
            return environ

    return EventletHandler


def make_werkzeug_handler(deadlines: ReadDeadlines, keepalive: float) -> type[WSGIRequestHandler]:
    """Return a handler that logs no requests, for an application that `report_responses` wraps."""

    class WerkzeugHandler(_guard_handler(WSGIRequestHandler, deadlines)):  # type: ignore[misc] # made at run time
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = keepalive
        body: Any

        def make_environ(self) -> Any:
            environ = super().make_environ()
            if not environ.get("wsgi.input_terminated"):
                length = environ.get("CONTENT_LENGTH") or "0"
                self.body = environ["wsgi.input"] = CountedBody(environ["wsgi.input"], int(length))
            environ[_RESPONDED] = self.responded
            environ[SOCKET], environ[HANDLED] = self.connection, _end_http
            return environ

        def responded(self) -> None:
            """Apply the deadline to what the server reads and discards after a response, too."""
            if not self.is_reading():
                # The request is complete; a client that sends more must not keep the connection with it.
                self.cut(socket.SHUT_RD)
            self.body = None
            deadlines.resume(self)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            """Log nothing: the metrics count requests."""

    return WerkzeugHandler


def report_responses(app: Any) -> Any:
    """Return the application; it notifies the handler when a response is complete."""

    def serve(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        response = app(environ, start_response)
        try:
            yield from response
        finally:
            if hasattr(response, "close"):
                response.close()
            environ[_RESPONDED]()

    return serve


def _end_http() -> None:
    # Werkzeug takes this error as the end of a connection without a response.
    raise ConnectionError


def _guard_handler(handler: type[Any], deadlines: ReadDeadlines) -> type[Any]:
    """Return a handler with a deadline and a strict head check; subclasses set `body` to the request's input."""

    class Guarded(InputTracking, handler):  # type: ignore[misc] # eventlet has no types
        rfile: Any
        has_served = False

        def setup(self) -> None:
            super().setup()
            self.source = self.rfile = TrackedInput(self.rfile)

        def find_socket(self) -> Any:
            return self.connection

        def handle_one_request(self) -> None:
            self.body = None
            deadlines.begin(self, self.client_address, idle=self.has_served)
            super().handle_one_request()
            self.has_served = True

        def parse_request(self) -> bool:
            if self.has_served:
                deadlines.begin(self)
            source, recorded = self.rfile, RecordedLines(self.rfile)
            self.rfile = recorded
            try:
                parsed = bool(super().parse_request())
            finally:
                self.rfile = source
            error = recorded.find_error(self.raw_requestline) if parsed else None
            if error is not None or is_chunked(recorded.lines):
                self.close_connection = True
            if error is not None:
                _refuse(self.wfile, error)
            return parsed and error is None

        def finish(self) -> None:
            deadlines.end(self)
            super().finish()

    return Guarded


def _refuse(stream: Any, error: str) -> None:
    stream.write(REFUSAL % (len(error), error.encode()))
    stream.flush()
