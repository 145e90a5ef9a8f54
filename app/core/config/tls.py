"""Reads the `ssl_…` parameters of server URLs: one result for redis-py, Kombu and py-amqp.

redis-py verifies certificates by default. Kombu does not and ignores misspelt parameters, and py-amqp does not check
the host name. So the parameters are read here, in redis-py's spelling, and passed to each library in its own form.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: Schemes that mean TLS.
_SAFE = ("rediss", "amqps")
_REQUIRED, _NONE = "required", "none"
#: `optional` means required: every server shows a certificate.
_REQS = {"required": _REQUIRED, "optional": _REQUIRED, "none": _NONE}
_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
#: The only other parameter of a URL, by scheme: the number of the database, as redis-py and Kombu call it.
_MORE = {"redis": "db", "rediss": "db", "unix": "db", "redis+socket": "virtual_host"}
_KNOWN = ("ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The URL of a server without its `ssl_…` parameters, and the TLS options of each library; None without TLS."""

    url: str
    #: For redis-py, and for Kombu's transport on top of it.
    redis_tls: dict[str, Any] | None
    #: For py-amqp.
    amqp_tls: dict[str, Any] | None


def read_address(url: str) -> ServerAddress:
    """Read a URL. Raises ValueError with a message that fits after the name of a setting."""
    parts = urlsplit(url)
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    if ";" in url:
        # Kombu would treat what follows as another broker.
        raise ValueError("must name one server and have no semicolon; write one in a password as %3B")
    tls_names = [name for name, _ in parameters if name.lower().startswith(("ssl", "tls"))]
    for name in tls_names:
        # Kombu lets `ssl=0` override all of these, and ignores names in capitals.
        if name not in _KNOWN or tls_names.count(name) > 1:
            raise ValueError(f"{name[:50]} is unknown or repeated: there are {', '.join(_KNOWN)}")
    options = {name: value for name, value in parameters if name in _KNOWN}
    url = _name_database(url, [(name, value) for name, value in parameters if name not in _KNOWN])
    if parts.scheme not in _SAFE:
        if options:
            raise ValueError(f"{next(iter(options))} needs a URL that begins with rediss:// or amqps://")
        return ServerAddress(url, None, None)
    reqs = _read("ssl_cert_reqs", options.pop("ssl_cert_reqs", _REQUIRED).lower().removeprefix("cert_"), _REQS)
    by_name = _read("ssl_check_hostname", options.pop("ssl_check_hostname", "true").lower(), _FLAGS)
    is_verified = reqs == _REQUIRED
    plain = {name: value for name, value in options.items() if value}
    redis = {"ssl_cert_reqs": reqs, "ssl_check_hostname": is_verified and by_name, **plain}
    amqp = {
        "cert_reqs": ssl.CERT_REQUIRED if is_verified else ssl.CERT_NONE,
        **{name.removeprefix("ssl_"): value for name, value in plain.items()},
        # Kombu replaces None by the host.
        **({"server_hostname": None} if is_verified and by_name else {}),
    }
    return ServerAddress(url, redis, amqp)


def _name_database(url: str, parameters: list[tuple[str, str]]) -> str:
    """Return the URL with the number of the database where both libraries read it. Raises ValueError."""
    parts, (bare, _, _) = urlsplit(url), url.partition("?")
    known = _MORE.get(parts.scheme)
    for name, _ in parameters:
        if name != known:
            may = [*([known] if known else []), *(_KNOWN if parts.scheme in _SAFE else ())]
            raise ValueError(f"{name[:50]} is unknown: after a ? there may be {', '.join(may) or 'nothing'}")
    if not parameters:
        return bare
    numbers = {value for _, value in parameters}
    if known == "db" and parts.scheme != "unix":
        numbers |= {number for number in [parts.path.strip("/")] if number}
    if not all(number.isascii() and number.isdigit() for number in numbers) or len(numbers) > 1:
        raise ValueError(f"{known} must be the number of one database")
    [number] = numbers
    if parts.scheme in ("redis", "rediss"):
        return f"{parts.scheme}://{parts.netloc}/{number}"
    return f"{bare}?{known}={number}"


def _read(name: str, value: str, known: dict[str, Any]) -> Any:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {value[:50]!r}")
    return known[value]
