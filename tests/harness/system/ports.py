"""Loopback ports for test servers, which no other program is likely to use."""

from __future__ import annotations

import random
import socket

from swallowtail.scripts.processes.free_ports import is_free

#: Below the range from which systems give out ports to outgoing connections, so that a server which is down for a
#: moment finds its port free again.
RANGE = range(12_000, 32_000)

_assigned: set[int] = set()


def free_port() -> int:
    """A port of 127.0.0.1 that is free now and was not returned before in this process."""
    while True:
        port = random.choice(RANGE)
        if port not in _assigned and is_free(port):
            _assigned.add(port)
            return port


def answers(port: int) -> bool:
    """Whether something accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
