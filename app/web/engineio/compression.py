"""Compresses long answers to polls for clients that can read it. Beside the road, under `web/engineio/polling`."""

from __future__ import annotations

import zlib
from typing import Any

#: Bytes of an answer that is compressed: from which on, as with the reference server; above them the work would hold up
#: the loop that serves everybody.
SIZES = range(1024, 262_144)
#: How zlib is told what to write.
_ENCODINGS = {"gzip": 31, "deflate": 15}


def compress(answer: dict[str, Any], accepted: str) -> None:
    """Compress an answer (`headers`, `response`) if it is long; `accepted` is the client's Accept-Encoding."""
    asked = (word.partition(";")[0].strip() for word in accepted.split(","))
    encoding = next((word for word in asked if word in _ENCODINGS), None)
    if encoding is None or len(answer["response"]) not in SIZES:
        return
    # At its fastest, since everybody waits.
    writer = zlib.compressobj(level=1, wbits=_ENCODINGS[encoding])
    answer["response"] = writer.compress(answer["response"]) + writer.flush()
    answer["headers"] = [*answer["headers"], ("Content-Encoding", encoding), ("Vary", "Accept-Encoding")]
