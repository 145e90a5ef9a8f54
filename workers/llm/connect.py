"""Opens connections to addresses of the public internet only, within a total time."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from swallowtail.workers.run.outcomes import PermanentError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Blocks of the IANA IPv4 Special-Purpose Address Registry, and multicast. Listed here because Python's own list
#: changes with its version.
_SPECIAL_IPV4 = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24
192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4
240.0.0.0/4
"""
SPECIAL_IPV4 = tuple(map(ipaddress.IPv4Network, _SPECIAL_IPV4.split()))
#: The public part of IPv6 (RFC 4291, section 2.4, and IANA's list of allocations), and its special blocks. Addresses
#: that embed an IPv4 address (NAT64, 6to4, Teredo) are outside of it or in one of these.
PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
SPECIAL_IPV6 = tuple(
    ipaddress.IPv6Network(block)
    for block in ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20"]
)


class FetchError(Exception):
    """The document could not be fetched this time; another try may succeed."""


class Deadline:
    """A total time in seconds for any number of connections."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least a millisecond (0 means *do not block* for a socket)."""
        return max(self._end - time.monotonic(), 0.001)

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    @contextmanager
    def guard(self, connection: socket.socket) -> Iterator[None]:
        """Shut the connection down when the time is up: a timeout per read does not end a slow trickle."""
        twin = connection.dup()  # TLS takes the socket over; the duplicate still reaches the same connection
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
    """Yield a TCP connection to `host`. Raises OSError, or PermanentError for an address that is not public."""
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
    """Return whether an address belongs to the public internet; an address that embeds another one never does."""
    if isinstance(address, ipaddress.IPv6Address):
        return address in PUBLIC_IPV6 and not any(address in block for block in SPECIAL_IPV6)
    return not any(address in block for block in SPECIAL_IPV4)


def _resolve(host: str, port: int, *, allow_private: bool) -> list[tuple[int, tuple[str, int]]]:
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in addresses:
        if not allow_private and not is_public(ipaddress.ip_address(str(address[0]).partition("%")[0])):
            text = f"{host} is at a private address; SWALLOWTAIL_FETCH_ALLOW_PRIVATE would permit it"
            raise PermanentError(text, code="fetch_refused")
    return [(family, address) for family, _, _, _, address in addresses]  # type: ignore[misc]


def _shut_down(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side may have been faster
        connection.shutdown(socket.SHUT_RDWR)
