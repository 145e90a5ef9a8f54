"""Lets the built-in agents read briefs in the process of the test, since a process per brief would be slow.

`tests/workers/reading/test_subprocess_reader.py` and the journeys test the separate process.

"""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.workers.agents.campaign import researcher
from swallowtail.workers.reading.blocks import ReadDocument, UnreadableError
from swallowtail.workers.reading.reader import read
from swallowtail.workers.run.outcomes import PermanentError


@pytest.fixture(autouse=True)
def read_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def here(body: bytes, *hints: Any, **more: Any) -> ReadDocument:
        try:
            return read(body, *hints, **more)
        except UnreadableError as problem:
            raise PermanentError(f"the document cannot be read: {problem}", code="document_unreadable") from None

    monkeypatch.setattr(researcher, "read_in_subprocess", here)
