"""The number of generated cases."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def cases(request: pytest.FixtureRequest) -> int:
    """Generated cases of each test."""
    count: int = request.config.getoption("--cases")
    return count
