"""Compresses long polling responses for clients that accept gzip or deflate."""

from __future__ import annotations

import zlib
from typing import Any

#: Sizes of responses that are compressed, in bytes: the lower bound is that of the reference server; compressing more
#: than the upper one would block the loop that serves all clients.
SIZES = range(1024, 262_144)
#: The `wbits` argument of zlib by content encoding.
_ENCODINGS = {"gzip": 31, "deflate": 15}


def compress(response: dict[str, Any], accepted: str) -> None:
    """Compress a response (`headers`, `response`) if it is long; `accepted` is the client's Accept-Encoding."""
    offered = (word.partition(";")[0].strip() for word in accepted.split(","))
    encoding = next((word for word in offered if word in _ENCODINGS), None)
    if encoding is None or len(response["response"]) not in SIZES:
        return
    # The fastest level, since all other clients wait.
    writer = zlib.compressobj(level=1, wbits=_ENCODINGS[encoding])
    response["response"] = writer.compress(response["response"]) + writer.flush()
    response["headers"] = [*response["headers"], ("Content-Encoding", encoding), ("Vary", "Accept-Encoding")]
