"""Fixtures: acceptors without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.accept.acceptor_scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Any]:
    scenes: list[Scene] = []

    def make(**options: Any) -> Scene:
        scenes.append(Scene(tmp_path, **options))
        return scenes[-1]

    yield make
    for one in scenes:
        one.close()
