"""The order in which the files of tests are run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.run.shared_deployment import uses_it

_ORDER = ({"journey", "browser", "chaos"}, {"service"}, {"unit"})


def put_the_long_first(items: list[pytest.Item]) -> None:
    """Order files by what they start: one that takes a minute must not be begun by one process when the others end.

    Among those, the files that share a deployment come first, so that it can end early.
    """
    rank: dict[Path, tuple[int, bool]] = {}
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        own = next(place for place, tiers in enumerate(_ORDER) if tiers & marks)
        known = rank.get(item.path, (own, True))
        rank[item.path] = (min(own, known[0]), known[1] and not uses_it(item))
    items.sort(key=lambda item: rank[item.path])
