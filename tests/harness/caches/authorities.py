"""Reads the certificates of httpx2 once, for the hundreds of clients that tests create."""

from __future__ import annotations

import os
from ssl import SSLContext
from typing import Any

from httpx2._transports import default

#: Where else the authorities may be read from.
PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def read_authorities_once() -> None:
    """Have httpx2 read the system's certificate authorities once: they take 30 ms of CPU for each client."""
    create: Any = getattr(default, "create_ssl_context", None)
    contexts: dict[object, SSLContext] = {}

    def create_once(verify: Any = True, cert: Any = None, trust_env: bool = True) -> SSLContext:
        if verify is not True or cert is not None:
            return create(verify=verify, cert=cert, trust_env=trust_env)  # type: ignore[no-any-return]
        key = (trust_env, *map(os.environ.get, PLACES))
        if key not in contexts:
            contexts[key] = create(verify=verify, cert=cert, trust_env=trust_env)
        return contexts[key]

    if create is not None:
        default.create_ssl_context = create_once  # type: ignore[attr-defined]
