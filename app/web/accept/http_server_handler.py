"""Adds the read deadline and the strict head check to a request handler of `http.server`'s family."""

from __future__ import annotations

from typing import Any

from swallowtail.app.web.accept.head_check import with_strict_head
from swallowtail.app.web.accept.read_deadline import ReadDeadlines
from swallowtail.app.web.accept.request_input import InputTracking, TrackedInput


def guard_http_server_handler(handler: type[Any], deadlines: ReadDeadlines) -> type[Any]:
    """Return a handler whose requests have a deadline and an unambiguous head.

    A subclass for one server sets `body` once it knows the request's input.
    """

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
            return bool(super().parse_request())

        def finish(self) -> None:
            deadlines.end(self)
            super().finish()

    return with_strict_head(Guarded)
