"""Checks the `Host` header of a request against the names of this server.

A page of another site can point its own host name to this machine (DNS rebinding). Its requests then have the same
origin as their target; only the name in `Host` distinguishes them from requests of our own pages.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from werkzeug.sansio.utils import host_is_trusted

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.config.http import list_words
from swallowtail.app.core.config.settings import Settings


class AllowedHosts:
    """The host names of a web process.

    Loopback names are always allowed. Numeric addresses are allowed on a server that other machines can reach: they
    cannot be pointed to another machine.
    """

    def __init__(self, settings: Settings) -> None:
        self._names = [name.lower() for name in list_words(settings.allowed_hosts)]
        self._by_address = not is_loopback(settings.host)
        #: Returns whether a `Host` header is allowed, with any port.
        self.allows = lru_cache(maxsize=1024)(self._allows)

    def _allows(self, host: str | None) -> bool:
        if host is None or not host_is_trusted(host):
            return False
        if "*" in self._names:
            return True
        name = host.lower().partition("]")[0].removeprefix("[") if host[0] == "[" else host.lower().partition(":")[0]
        try:
            address = ip_address(name)
        except ValueError:
            return host_is_trusted(host.lower(), ["localhost", *self._names])
        return address.is_loopback or self._by_address or name in self._names or f"[{name}]" in self._names
