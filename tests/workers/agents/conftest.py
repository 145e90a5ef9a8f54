"""The built-in agents read briefs in this process here: starting one for each would take most of these tests' time.

That it is another process outside of tests is held by `tests/workers/reading/test_subprocess_reader.py` and the journeys.
"""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.workers.agents.campaign import researcher
from swallowtail.workers.reading.blocks import Reading, UnreadableError
from swallowtail.workers.reading.reader import read
from swallowtail.workers.run.context import PermanentError


@pytest.fixture(autouse=True)
def read_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(body: bytes, *hints: Any, **more: Any) -> Reading:
        try:
            return read(body, *hints, **more)
        except UnreadableError as problem:
            raise PermanentError(f"the document cannot be read: {problem}", code="document_unreadable") from None

    monkeypatch.setattr(researcher, "read_apart", here)
