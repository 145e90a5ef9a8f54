"""The fast engine serves with the versions that it was written for only."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from swallowtail.app.web.engineio import fast_engine
from tests.harness.program import ROOT, clean_environment

#: In a process of its own: eventlet, once imported, warns at every later fork of this one.
PROGRAM = """
import select
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.web import factory
from swallowtail.app.web.engineio import fast_engine
from swallowtail.app.web.websocket.event_loop import EventLoop
loop = EventLoop(select.epoll(), lambda _: None, lambda work: work())
for end in ((99, 0), (4, 13)):
    fast_engine._VERSIONS["python-engineio"] = ((4, 13), end)
    print(factory.create_app(Settings(), loop=loop).extensions["swallowtail"].engine)
"""


@pytest.mark.parametrize(
    ("library", "installed", "is_usable"),
    [
        ("python-engineio", version("python-engineio"), True),
        ("python-engineio", "4.13.0", True),
        ("python-engineio", "4.12.9", False),
        ("python-engineio", "5.0rc1", False),
        ("python-socketio", "5.16.0", True),
        ("python-socketio", "5.15.0", False),
        ("python-socketio", "6.0.0", False),
    ],
)
def test_only_versions_of_the_ranges_are_usable(
    monkeypatch: pytest.MonkeyPatch, library: str, installed: str, is_usable: bool
) -> None:
    """Another version with the same private names was served by code that was not written for it."""
    monkeypatch.setattr(fast_engine, "version", lambda name: installed if name == library else version(name))
    assert fast_engine.is_usable() == is_usable


def test_with_another_version_the_stock_engine_serves_and_the_log_says_why(tmp_path: Path) -> None:
    """A check of the versions that the application does not call changes nothing."""
    env = clean_environment({"SWALLOWTAIL_VAR_DIR": str(tmp_path)})
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True)
    fast, *stock = done.stdout.splitlines()
    assert "FastEngine" in fast
    assert stock[-1] == "None"
    reason = f"the fast engine was not written for python-engineio {version('python-engineio')}"
    assert reason in done.stdout + done.stderr
