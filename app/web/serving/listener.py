"""The address of a web process, or of several: where connections begin. Before the road.

Of several processes each listens on a socket of its own (`SO_REUSEPORT`), and the kernel deals new connections out to
them evenly. docs/decisions tells why they do not share one socket.
"""

from __future__ import annotations

import socket

from swallowtail.app.core.config.settings import Settings

#: Connections that may wait to be accepted: a whole room reconnects at once after a restart.
BACKLOG = 1024


def listen(settings: Settings, *, shared: bool) -> socket.socket:
    """Return a listening socket on the address of the settings, which others may listen on too if it is `shared`.

    Raises:
        OSError: the address is taken, or not one of this machine's.
    """
    # Sets SO_REUSEADDR, so that a restart need not wait for old connections to fade.
    listener = socket.create_server(
        (settings.host, settings.port), family=_family(settings), backlog=BACKLOG, reuse_port=shared
    )
    # Accepted sockets inherit it: small messages leave at once.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def reserve(settings: Settings) -> socket.socket:
    """Return a socket that keeps the address for processes of ours, without listening; it has a port if 0 was given.

    Raises:
        OSError: the address is taken, or not one of this machine's.
    """
    with socket.socket(_family(settings)) as probe:
        # Not with SO_REUSEPORT: another Swallowtail on the same address has to be in the way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((settings.host, settings.port))
        name = probe.getsockname()
    keeper = socket.socket(_family(settings))
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        keeper.bind(name)
    except OSError:
        keeper.close()
        raise
    return keeper


def name_of(listener: socket.socket) -> str:
    """Return the URL of a socket's address."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _family(settings: Settings) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in settings.host else socket.AF_INET
