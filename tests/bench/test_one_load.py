"""The benchmark command runs one load on our own system, without lost or repeated events."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.scenarios import OURS
from tests.harness.program import ROOT, clean_environment

pytestmark = [pytest.mark.journey, pytest.mark.long]


def test_a_burst_reaches_every_client_once(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    command = [sys.executable, "-m", "bench.run", "--quick", "--only", "burst", "--system", OURS, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=clean_environment({}), capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    ((load, figures),) = json.loads(out.read_text(encoding="utf-8"))["results"].items()
    assert load.startswith("burst")
    assert isinstance(figures[OURS], dict), figures
    assert (figures[OURS]["lost_pct"], figures[OURS]["repeated"]) == (0, 0)
