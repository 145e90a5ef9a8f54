"""What an agent hands back, as JSON: checked once, before the ledger stores it. Beside `workers/journal`."""

from __future__ import annotations

from typing import Any

import orjson

from app.core.events import to_json
from workers.endings import PermanentError


def encode(output: Any, longest: int) -> Any:
    """Return `output` as JSON gives it back.

    Raises:
        PermanentError: it has no JSON form (`not_json`), or one of more than `longest` bytes (`output_too_large`).
    """
    try:
        encoded = to_json(output)
    except (TypeError, ValueError, RecursionError) as fault:
        raise PermanentError(f"the output is not JSON: {fault}", code="not_json") from None
    if len(encoded) > longest:
        raise PermanentError(f"the output is {len(encoded)} bytes; {longest} are allowed", code="output_too_large")
    return orjson.loads(encoded)


def to_text(chunk: str) -> str:
    """Return text that has a JSON form, with as many characters as it will have there."""
    text: str = orjson.loads(to_json(str(chunk)))
    return text
