"""A web process or worker stops at its start, in every mode, when a library lacks a name that it uses."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.harness.program import ROOT, clean_environment

PROGRAM = """
import sys
from swallowtail.app.core.process.library_check import INTERNALS
INTERNALS["redis"] = {{"redis.Connection": "_gone"}}
{start}
"""
MESSAGE = f"redis {version('redis')} has no redis.Connection._gone, which Swallowtail uses"


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_a_web_process_stops_with_the_librarys_name_and_version(tmp_path: Path, mode: str) -> None:
    start = "from swallowtail.app.wsgi import main\nsys.exit(main([]))"
    done = run(start, {"SWALLOWTAIL_ASYNC_MODE": mode, "SWALLOWTAIL_PORT": "0", "SWALLOWTAIL_VAR_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"settings: {MESSAGE}" in done.stderr


def test_a_worker_stops_with_the_librarys_name_and_version(tmp_path: Path) -> None:
    done = run("import swallowtail.workers.celery_app", {"SWALLOWTAIL_VAR_DIR": str(tmp_path)})
    assert done.returncode == 1
    assert f"swallowtail: {MESSAGE}" in done.stderr


def run(start: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(start=start)
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=clean_environment(env),
        capture_output=True,
        text=True,
        timeout=60,
    )
