"""Pages of lists: how many items, and the shape they come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.web.container import get_runtime
from swallowtail.app.web.request.json_body import write_json


def choose_limit(asked: int | None) -> int:
    """Return how many items a page has: what was asked for, or `page_size`.

    Raises:
        InvalidInput: more than `max_page_size` were asked for.
    """
    settings = get_runtime().settings
    if asked is None:
        return min(settings.page_size, settings.max_page_size)
    if asked > settings.max_page_size:
        raise InvalidInput(f"limit must be at most {settings.max_page_size}", field="limit")
    return asked


def write_page(items: Sequence[Any], next_cursor: str | None = None) -> Response:
    """Return the answer `{items, next_cursor}`."""
    return write_json({"items": items, "next_cursor": next_cursor})
