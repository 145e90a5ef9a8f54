"""The JavaScript client with a fake socket; the cases are in the files `*.test.mjs`."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness.services import require

CASES = sorted(Path(__file__).parent.glob("*.test.mjs"))


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.name)
def test_the_javascript_client(cases: Path) -> None:
    command = [require("node"), "--test", "--test-reporter=spec", str(cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
