"""Opens the reads of the signed-in user for one command, and reads all pages of a list."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.scripts.cli.open_runtime import open_runtime

#: Items that are read at once.
PAGE_SIZE = 200

Item = TypeVar("Item")


@contextmanager
def open_reads() -> Iterator[AuthorizedReads]:
    """Open the reads of the signed-in user in one transaction. Raises as `open_runtime` does."""
    with open_runtime() as runtime, runtime.db.read() as session:
        yield AuthorizedReads(session, runtime.caller.actor, runtime.is_broker_away())


def read_pages(read: Callable[..., tuple[Sequence[Item], Any]], most: int | None = None) -> list[Item]:
    """Return up to `most` items, or all. `read` returns a page and the next cursor for `limit` and `cursor`."""
    items: list[Item] = []
    cursor = None
    while most is None or len(items) < most:
        page, cursor = read(limit=PAGE_SIZE if most is None else min(PAGE_SIZE, most - len(items)), cursor=cursor)
        items += page
        if cursor is None:
            break
    return items
