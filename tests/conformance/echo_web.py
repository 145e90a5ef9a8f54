"""Our own web process as it is served, with the events of `echo` added to it: a program for the conformance cases."""

from __future__ import annotations

import sys
from typing import Any

from swallowtail.app import wsgi


def echoing(serve: wsgi.Serve) -> wsgi.Serve:
    """The same way to serve, of an application that echoes."""

    def serve_echo(listener: Any, app: Any, settings: Any) -> wsgi.Stop:
        # Only now: the standard library has been patched.
        from tests.conformance.echo import add_echo

        add_echo(app.extensions["swallowtail"].socketio.server)
        return serve(listener, app, settings)

    return serve_echo


if __name__ == "__main__":
    wsgi._SERVERS.update({mode: echoing(serve) for mode, serve in wsgi._SERVERS.items()})
    sys.exit(wsgi.main([]))
