"""Encodes the output of an agent or a step as JSON and checks its size and depth, before the ledger stores it."""

from __future__ import annotations

import inspect
from typing import Any

import orjson

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import InvalidInput, TooLarge
from swallowtail.app.core.events import to_json
from swallowtail.app.core.validation import CheckedJson, check_encoded
from swallowtail.workers.run.outcomes import PermanentError


def encode(output: Any, settings: Settings) -> CheckedJson:
    """Return `output` after a round trip through JSON, and that JSON. Raises PermanentError."""
    if inspect.isawaitable(output) or inspect.isasyncgen(output):
        getattr(output, "close", lambda: None)()
        raise PermanentError("the output is a coroutine that was not run; return `asyncio.run(…)`", code="not_json")
    try:
        encoded = to_json(output)
    except (TypeError, ValueError, RecursionError) as fault:
        raise PermanentError(f"the output is not JSON: {fault}", code="not_json") from None
    try:
        check_encoded(encoded, "the output", settings)
    except InvalidInput as deep:
        raise PermanentError(deep.message, code="output_too_deep") from None
    except TooLarge as large:
        raise PermanentError(large.message, code="output_too_large") from None
    return CheckedJson(orjson.loads(encoded), encoded)


def to_text(chunk: str) -> str:
    """Return text as it is after a round trip through JSON, so that its length is final."""
    text: str = orjson.loads(to_json(str(chunk)))
    return text
