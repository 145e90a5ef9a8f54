"""The workflow's jobs run every tier of `.ci/run`, and both sets of libraries on every Python that setup.cfg names."""

from __future__ import annotations

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
JOBS: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8"))["jobs"]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


def choices(script: str, function: str) -> list[str]:
    """Return the words that a `case` of the script takes."""
    text = (ROOT / script).read_text(encoding="utf-8")
    return re.findall(r"^ +(\w+)\)\s", text.partition(function)[2], re.MULTILINE)


def test_every_tier_has_a_job() -> None:
    assert JOBS["tier"]["strategy"]["matrix"]["tier"] == choices(".ci/run", "run_tier()")


def test_both_sets_run_on_every_python() -> None:
    pythons = re.findall(r"Python :: (3\.\d+)", SETUP["metadata"]["classifiers"])
    sets = choices("scripts/versions", "case ")
    assert JOBS["versions"]["strategy"]["matrix"] == {"set": sets, "python": pythons}
    assert JOBS["versions"]["steps"][-1]["env"] == {"PYTHON": "python${{ matrix.python }}"}
