"""Fixtures: acceptors without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.closed_objects import closing_all
from tests.web.accept.acceptor_scene import Scene


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Any]:
    def make(**options: Any) -> Scene:
        return Scene(tmp_path, **options)

    yield from closing_all(make)
