"""The web process with the events of `echo` added, as a program for the conformance cases."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from swallowtail.app import wsgi

if TYPE_CHECKING:
    from swallowtail.app.web.serving.web_process import ServerModule

_import_server = wsgi._import_server


class EchoServer:
    """A mode's server, which adds the echo events to the application."""

    def __init__(self, server: ServerModule) -> None:
        self._serve = server.serve
        self.make_offloads = server.make_offloads
        self.make_loop = server.make_loop

    def serve(self, listener: Any, loop: Any, app: Any, settings: Any) -> Callable[[], None]:
        # Imported now, after the standard library has been patched.
        from tests.conformance.echo import add_echo

        add_echo(app.extensions["swallowtail"].sessions.server)
        return self._serve(listener, loop, app, settings)


if __name__ == "__main__":
    wsgi._import_server = lambda mode: EchoServer(_import_server(mode))
    sys.exit(wsgi.main([]))
