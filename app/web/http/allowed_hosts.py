"""Whose name a request is for. Before the road: a request for somebody else's name is not answered.

A page of another site can have its own name point to this machine (DNS rebinding); its requests then are of the same
origin as their target, and nothing but the name in `Host` tells them from those of our pages.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address

from werkzeug.sansio.utils import host_is_trusted

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.config.http import list_words
from swallowtail.app.core.config.settings import Settings


class AllowedHosts:
    """The names under which a web process answers.

    Loopback's are always among them, and numeric addresses where it can be reached from elsewhere: nobody can make
    those point to another machine.
    """

    def __init__(self, settings: Settings) -> None:
        self._names = [name.lower() for name in list_words(settings.allowed_hosts)]
        self._by_address = not is_loopback(settings.host)
        #: Tell whether a `Host` header is one of ours, whatever its port.
        self.admits = lru_cache(maxsize=1024)(self._admits)

    def _admits(self, host: str | None) -> bool:
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
