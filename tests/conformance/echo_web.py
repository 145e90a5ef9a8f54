"""The web process with the events of `echo` added, as a program for the conformance cases."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swallowtail.app import wsgi

if TYPE_CHECKING:
    from swallowtail.app.web.serving.web_process import Server, Stop

_import_server = wsgi._import_server


def import_echo_server(mode: str) -> Server:
    """Return the mode's server, which adds the echo events to the application."""
    server = _import_server(mode)

    def serve_echo(listener: Any, app: Any, settings: Any) -> Stop:
        # Imported now, after the standard library has been patched.
        from tests.conformance.echo import add_echo

        add_echo(app.extensions["swallowtail"].socketio.server)
        return server.serve(listener, app, settings)

    return replace(server, serve=serve_echo)


if __name__ == "__main__":
    wsgi._import_server = import_echo_server
    sys.exit(wsgi.main([]))
