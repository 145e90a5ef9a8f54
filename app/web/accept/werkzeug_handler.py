"""Makes the request handler for Werkzeug's threaded WSGI server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

from werkzeug.serving import WSGIRequestHandler

from swallowtail.app.web.accept.http_server_handler import guard_http_server_handler
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.request_input import CountedBody
from swallowtail.app.web.engineio.stock_websocket import HANDLED, SOCKET

#: Key in the WSGI environment: a function to call after the response, before the server reads the rest of the body.
_RESPONDED = "swallowtail.answered"


def make_werkzeug_handler(deadlines: ReadDeadlines, keepalive: float) -> type[WSGIRequestHandler]:
    """Return a handler with a read deadline and the strict head check; it logs no requests.

    The application has to be wrapped by `report_responses`.
    """

    class Handler(guard_http_server_handler(WSGIRequestHandler, deadlines)):  # type: ignore[misc] # made at run time
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

    return Handler


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
