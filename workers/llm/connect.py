"""Connects to addresses of the public internet only, within a total time. Off the road of an event: the fetcher uses
it inside a step.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from workers.journal import PermanentError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Addresses that stand for an IPv4 address (RFC 6052): judged by what they stand for.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class FetchError(Exception):
    """The document could not be fetched this time; another try may succeed."""


class Deadline:
    """A total time in seconds, over any number of connections."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least a millisecond (0 would mean *do not block* to a socket)."""
        return max(self._end - time.monotonic(), 0.001)

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    @contextmanager
    def guard(self, connection: socket.socket) -> Iterator[None]:
        """Shut the connection down when the time is up: a timeout per read would let a trickle go on for ever."""
        twin = connection.dup()  # TLS takes the socket over; its twin still reaches the same connection
        timer = threading.Timer(self.left, _shut_down, (twin,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            twin.close()


@contextmanager
def connect(host: str, port: int, deadline: Deadline, *, allow_private: bool) -> Iterator[socket.socket]:
    """A TCP connection to `host`, closed at the end.

    Raises PermanentError when any of the host's addresses is not of the public internet (unless `allow_private`),
    OSError when none of them answers.
    """
    problem: OSError = OSError("the name has no address")
    for family, address in _resolve(host, port, allow_private=allow_private):
        connection = socket.socket(family, socket.SOCK_STREAM)
        with connection:
            connection.settimeout(deadline.left)
            try:
                connection.connect(address)
            except OSError as failure:
                problem = failure
                continue
            with deadline.guard(connection):
                yield connection
            return
    raise problem


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet: not private, loopback, link-local, shared or multicast."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(address.packed[-4:]))
        if address.sixtofour is not None or address.teredo is not None:
            return False  # tunnels: the machine behind could be any
    return address.is_global and not address.is_multicast


def _resolve(host: str, port: int, *, allow_private: bool) -> list[tuple[int, tuple[str, int]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        if not allow_private and not is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
            text = f"{host} is at a private address; SWALLOWTAIL_FETCH_ALLOW_PRIVATE would permit it"
            raise PermanentError(text, code="fetch_refused")
    return [(family, address) for family, _, _, _, address in found]  # type: ignore[misc]


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side may have been faster
        connection.shutdown(socket.SHUT_RDWR)
