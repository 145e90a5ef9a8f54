"""The monitored instance that tests of permission changes use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.delivery.access.monitored_instance import MonitoredInstance


@pytest.fixture
def s(tmp_path: Path) -> Iterator[MonitoredInstance]:
    scene = MonitoredInstance(tmp_path)
    # The monitor knows the changes made so far.
    scene.monitor.review()
    yield scene
    scene.process.close()
    scene.bench.close()
