"""Makes the request handler for eventlet's WSGI server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from swallowtail.app.web.accept.http_server_handler import guard_http_server_handler
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.engineio.stock_websocket import HANDLED, SOCKET


def make_eventlet_handler(
    handler: type[Any], deadlines: ReadDeadlines, end_http: Callable[[], None], on_close: Callable[[Any], None]
) -> type[Any]:
    """Return `eventlet.wsgi.HttpProtocol` with a read deadline and the strict head check.

    `end_http` makes the server expect no further request; `on_close` gets the address of each ended connection.
    """

    class Handler(guard_http_server_handler(handler, deadlines)):  # type: ignore[misc] # made at run time
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

    return Handler
