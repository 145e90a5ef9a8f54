"""Opens the listening sockets of one web process, or of several on one address.

Each of several processes listens on a socket of its own (`SO_REUSEPORT`), and the kernel distributes new connections
evenly among them. docs/decisions explains why they do not share one socket.
"""

from __future__ import annotations

import socket

from swallowtail.app.core.config.settings import Settings

#: Connections that may wait to be accepted: after a restart all clients of a process reconnect at once.
BACKLOG = 1024
#: Seconds that a kept-alive connection may be silent between two requests.
KEEPALIVE = 75


def listen(settings: Settings, *, shared: bool) -> socket.socket:
    """Return a listening socket on the address; other processes may listen there too if `shared`. Raises OSError."""
    # Sets SO_REUSEADDR, so that a restart need not wait until the kernel forgets old connections.
    listener = socket.create_server(
        (settings.host, settings.port), family=_family(settings), backlog=BACKLOG, reuse_port=shared
    )
    # Accepted sockets inherit it: small messages leave at once.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def reserve(settings: Settings) -> socket.socket:
    """Return a socket that reserves the address without listening; for port 0 the kernel chooses. Raises OSError."""
    with socket.socket(_family(settings)) as probe:
        # Without SO_REUSEPORT: the address counts as taken if another Swallowtail uses it.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((settings.host, settings.port))
        name = probe.getsockname()
    reserved = socket.socket(_family(settings))
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind(name)
    except OSError:
        reserved.close()
        raise
    return reserved


def name_of(listener: socket.socket) -> str:
    """Return the URL of a socket's address."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _family(settings: Settings) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in settings.host else socket.AF_INET
