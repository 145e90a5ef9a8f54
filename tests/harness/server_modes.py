"""The modes in which a web process serves sockets, as parameters of tests."""

from __future__ import annotations

#: The first is the default, with websockets of our own; in the others the library's serve.
WAYS: dict[str, dict[str, str]] = {
    "eventlet": {},
    "stock": {"engine": "stock"},
    "gevent": {"async_mode": "gevent"},
    "threading": {"async_mode": "threading"},
}
