"""The deployment that the tests which break nothing share.

It ends after the last of them: until the end of a long run, processes without work would cost more than their start.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.harness.deployment import Deployment
from tests.harness.servers import RedisBinary

_opened: list[Deployment] = []
_LATER = pytest.StashKey[bool]()


def uses_it(item: pytest.Item) -> bool:
    """Whether a test uses the shared deployment."""
    return "shared_deployment" in getattr(item, "fixturenames", ())


def note_last_use(items: Sequence[pytest.Item]) -> None:
    """Mark the tests after the last one that uses it."""
    last = max((number for number, item in enumerate(items) if uses_it(item)), default=-1)
    for item in items[last + 1 :]:
        item.stash[_LATER] = True


def end_if_unused(item: pytest.Item) -> None:
    """End it before a test after all that use it. A run in another order opens it anew for the next that does."""
    if item.stash.get(_LATER, False):
        close_shared()


def open_shared(redis_binary: RedisBinary) -> Deployment:
    """Return the open one: two web processes and a worker."""
    if not _opened:
        deployment = Deployment(redis_binary=redis_binary)
        _opened.append(deployment)
        try:
            deployment.open()
            deployment.start_worker(concurrency=2, wait=False)
            deployment.start_web(wait=False)
            deployment.start_web(wait=False)
            for program in (*deployment.webs, *deployment.workers):
                program.wait_ready()
        except BaseException:
            close_shared()
            raise
    return _opened[0]


def close_shared() -> None:
    """End it if it is open."""
    while _opened:
        _opened.pop().close()
