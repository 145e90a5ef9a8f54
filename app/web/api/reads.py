"""Reads for the caller of a request: opens a read transaction with their permissions, and writes pages of lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flask import Response

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.web.container import get_runtime
from swallowtail.app.web.request.current_caller import get_caller
from swallowtail.app.web.request.json_body import write_json


@contextmanager
def open_reader() -> Iterator[AuthorizedReads]:
    """Open a read transaction that returns only what the caller may see."""
    runtime = get_runtime()
    with runtime.db.read() as session:
        yield AuthorizedReads(session, get_caller().actor, runtime.is_broker_away())


def choose_limit(requested: int | None) -> int:
    """Return the number of items on a page: the requested number, or `page_size`.

    Raises:
        InvalidInput: the number is greater than `max_page_size`.
    """
    settings = get_runtime().settings
    if requested is None:
        return min(settings.page_size, settings.max_page_size)
    if requested > settings.max_page_size:
        raise InvalidInput(f"limit must be at most {settings.max_page_size}", field="limit")
    return requested


def write_page(items: Sequence[Any], next_cursor: str | None = None) -> Response:
    """Return the response `{items, next_cursor}`."""
    return write_json({"items": items, "next_cursor": next_cursor})
