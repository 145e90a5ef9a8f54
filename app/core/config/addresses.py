"""Checks the URLs, hosts, ports and origins in settings.

Each function raises ValueError with a message that fits after the name of a setting.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

SQLITE = "sqlite:///"

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.%a-z]+\]")
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def check_server(url: str, *, several: bool = False) -> str:
    """Return the URL of a server after checking its hosts, one or `several`. No message repeats a user or password."""
    parts = _split(url)
    _, at, address = parts.netloc.rpartition("@")
    if not several and "," in address:
        raise ValueError("must name one host; clusters and lists of hosts are not supported")
    try:
        for part in address.split(",") if several else [address]:
            _check_address(part)
    except ValueError:
        if at or "@" not in url:
            raise
        # The invalid port is a part of the password.
        raise ValueError("must have no / ? or # in its user or password: write them as %2F, %3F and %23") from None
    return url


def check_web_address(url: str) -> SplitResult:
    """Return the parts of an HTTP address."""
    parts = _split(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be an address such as https://api.example.org/v1")
    _check_address(parts.netloc.rpartition("@")[2])
    return parts


def check_postgres(url: str) -> str:
    """Return a PostgreSQL URL after checking its hosts and parameters; libpq checks them only when it connects."""
    check_server(url, several=True)
    parameters = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    names = [name for name, _ in parameters]
    for name, value in parameters:
        # A URL may name several hosts.
        if name not in ("host", "port") and names.count(name) > 1:
            raise ValueError(f"{name[:50]} is repeated")
        if name == "sslmode" and value not in _SSL_MODES:
            raise ValueError(f"sslmode must be one of {', '.join(_SSL_MODES)}, not {value[:50]!r}")
        if not _is_known_to_libpq(name):
            raise ValueError(f"{name[:50]!r} is no parameter of PostgreSQL's URLs")
    return url


def _is_known_to_libpq(name: str) -> bool:
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import make_conninfo
    except ImportError:
        # The connection reports the missing driver.
        return True
    try:
        make_conninfo(**{name: "1"})
    except ProgrammingError:
        return False
    return True


def plain_origin(text: str) -> str:
    """Return an origin as browsers write it: lower case, no slash at the end, no default port."""
    if text in ("*", "null"):
        return text
    shown = repr(text[:100])
    try:
        parts = _split(text.lower())
        if (
            parts.scheme not in _DEFAULT_PORTS
            or parts.path.strip("/")
            or parts.query
            or parts.fragment
            or "@" in parts.netloc
        ):
            raise ValueError("write it as https://app.example.org, with a port if it has one")
        _check_address(parts.netloc)
        if not parts.hostname:
            raise ValueError("it has no host")
        host = f"[{ip_address(parts.hostname)}]" if parts.netloc.startswith("[") else parts.hostname
    except ValueError as fault:
        raise ValueError(f"{shown} is no origin: {fault}") from None
    port = "" if parts.port is None else str(parts.port)
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS[parts.scheme] else "")


def locate_file(url: str) -> str:
    """Return an SQLite URL with an absolute path."""
    scheme = f"{SQLITE}file:" if url.startswith(f"{SQLITE}file:") else SQLITE
    path = url.removeprefix(scheme)
    return url if path.startswith("/") else f"{scheme}{quote_path(str(Path.cwd()))}/{path}"


def quote_path(path: str) -> str:
    """Return a path with the special characters of URLs quoted."""
    return path.replace("%", "%25").replace("?", "%3F")


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # Python's own message may repeat the password.
        raise ValueError("its host is invalid; use one such as host.example.org or [::1]") from None


def _check_address(address: str) -> None:
    """Check `host`, `host:port` or `[v6]:port`. An empty host is the library's default."""
    host, colon, port = address.rpartition(":") if re.search(r":[^\]]*$", address) else (address, "", "")
    if host and not _HOST.fullmatch(host):
        raise ValueError(
            f"{host[:100]!r} is no host name" + ("" if host.isascii() else "; write it in ASCII, as xn--…")
        )
    if colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"{port[:20]!r} is no port: use a number from 1 to 65535")
