"""The JavaScript client with a fake socket; the cases are in task_websocket_client.test.mjs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.harness.services import require

CASES = Path(__file__).parent / "task_websocket_client.test.mjs"


def test_the_javascript_client() -> None:
    command = [require("node"), "--test", "--test-reporter=spec", str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
