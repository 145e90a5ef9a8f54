"""The web process as it is served, with the events of `echo` added: a program for the conformance cases."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from swallowtail.app import wsgi

if TYPE_CHECKING:
    from swallowtail.app.web.serving.web_process import Serve, Stop

_import_server = wsgi._import_server


def import_echo_server(mode: str) -> Serve:
    """Return the mode's server, which adds the echo events to the application."""
    serve = _import_server(mode)

    def serve_echo(listener: Any, app: Any, settings: Any) -> Stop:
        # Imported now, after the standard library has been patched.
        from tests.conformance.echo import add_echo

        add_echo(app.extensions["swallowtail"].socketio.server)
        return serve(listener, app, settings)

    return serve_echo


if __name__ == "__main__":
    wsgi._import_server = import_echo_server
    sys.exit(wsgi.main([]))
