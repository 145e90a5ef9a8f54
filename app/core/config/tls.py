"""What is believed of a server that is reached by TLS: one verdict on one URL, for every library that connects.

redis-py verifies by default, Kombu does not (it would even send the password to whoever answers) and takes a misspelt
wish for none, py-amqp looks at the certificate and not at the name in it. So a URL's `ssl_…` parameters are read here,
in redis-py's spelling, taken out of the URL, and given to each library as it wants them. Beside the road.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: Schemes that mean TLS.
_SAFE = ("rediss", "amqps")
_REQUIRED, _NONE = "required", "none"
#: A client that finds it optional to be shown a certificate verifies the one it is shown, as every server shows one.
_REQS = {"required": _REQUIRED, "optional": _REQUIRED, "none": _NONE}
_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
#: What else a URL may say, by its scheme: the number of the database, as redis-py and Kombu call it. Anything else
#: would be an error of the library's at the first connection, or a time that goes before that of a setting.
_MORE = {"redis": "db", "rediss": "db", "unix": "db", "redis+socket": "virtual_host"}
_KNOWN = ("ssl_cert_reqs", "ssl_check_hostname", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True, slots=True)
class Reach:
    """How a server is reached: the URL without its `ssl_…` parameters, and what they come to; None without TLS."""

    url: str
    #: For redis-py, and for Kombu's transport on top of it.
    redis: dict[str, Any] | None
    #: For py-amqp.
    amqp: dict[str, Any] | None


def find_reach(url: str) -> Reach:
    """Read a URL. Its server is verified, certificate and name, unless it says `ssl_cert_reqs=none`.

    Raises ValueError, in words that fit after the name of a setting.
    """
    parts = urlsplit(url)
    asked = parse_qsl(parts.query, keep_blank_values=True)
    if ";" in url:
        # Kombu would take what follows for another broker, by whatever scheme.
        raise ValueError("must name one server and have no semicolon; write one in a password as %3B")
    named = [name for name, _ in asked if name.lower().startswith(("ssl", "tls"))]
    for name in named:
        # Kombu takes `ssl=0` for all that is said here, and a name in capitals for none of it.
        if name not in _KNOWN or named.count(name) > 1:
            raise ValueError(f"{name[:50]} is unknown or given twice: there are {', '.join(_KNOWN)}")
    wishes = {name: value for name, value in asked if name in _KNOWN}
    url = _name_database(url, [(name, value) for name, value in asked if name not in _KNOWN])
    if parts.scheme not in _SAFE:
        if wishes:
            raise ValueError(f"{next(iter(wishes))} needs a URL that begins with rediss:// or amqps://")
        return Reach(url, None, None)
    reqs = _read("ssl_cert_reqs", wishes.pop("ssl_cert_reqs", _REQUIRED).lower().removeprefix("cert_"), _REQS)
    by_name = _read("ssl_check_hostname", wishes.pop("ssl_check_hostname", "true").lower(), _FLAGS)
    is_verified = reqs == _REQUIRED
    plain = {name: value for name, value in wishes.items() if value}
    redis = {"ssl_cert_reqs": reqs, "ssl_check_hostname": is_verified and by_name, **plain}
    amqp = {
        "cert_reqs": ssl.CERT_REQUIRED if is_verified else ssl.CERT_NONE,
        **{name.removeprefix("ssl_"): value for name, value in plain.items()},
        # Kombu puts the host in place of the None.
        **({"server_hostname": None} if is_verified and by_name else {}),
    }
    return Reach(url, redis, amqp)


def _name_database(url: str, asked: list[tuple[str, str]]) -> str:
    """Return the URL with the database, which a parameter may give, where both libraries look for it.

    Raises ValueError for any other parameter, for two databases, and for what is no number of one.
    """
    parts, (bare, _, _) = urlsplit(url), url.partition("?")
    known = _MORE.get(parts.scheme)
    for name, _ in asked:
        if name != known:
            may = [*([known] if known else []), *(_KNOWN if parts.scheme in _SAFE else ())]
            raise ValueError(f"{name[:50]} is unknown: after a ? there may be {', '.join(may) or 'nothing'}")
    if not asked:
        return bare
    numbers = {value for _, value in asked}
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
