"""Several web processes without their signing key: the parent process reports it once and ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.program import ROOT


@pytest.mark.service
def test_the_parent_reports_once_that_a_key_is_missing_and_starts_no_process(tmp_path: Path) -> None:
    options = {
        "AUTH": "required",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "VAR_DIR": str(tmp_path),
        "PORT": "0",
    }
    env = {name: value for name, value in os.environ.items() if not name.startswith("SWALLOWTAIL_")}
    env |= {f"SWALLOWTAIL_{name}": value for name, value in options.items()} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "swallowtail.app.wsgi", "--processes", "3"]
    ended = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.count("SWALLOWTAIL_SECRET_KEY") == 1
