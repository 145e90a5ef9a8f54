"""Reads all pages of a paginated query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Item = TypeVar("Item")


def read_pages(
    read: Callable[[int, Any], tuple[Sequence[Item], Any]], page_size: int, limit: int | None = None
) -> list[Item]:
    """Return up to `limit` items, or all.

    Args:
        read: returns a page and the cursor of the next one, for a page size and a cursor; None begins and ends.
    """
    items: list[Item] = []
    cursor = None
    while limit is None or len(items) < limit:
        page, cursor = read(page_size if limit is None else min(page_size, limit - len(items)), cursor)
        items += page
        if cursor is None:
            break
    return items
