"""The Python client stays light: it imports nothing of the server, and Socket.IO only for streams."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.harness.program import ROOT

#: Libraries that a program which only calls the REST API does not load.
HEAVY = ["flask", "celery", "sqlalchemy", "pydantic", "socketio", "engineio", "requests", "redis", "websocket"]
#: Packages of the server.
SERVER = ["swallowtail.app", "swallowtail.workers", "swallowtail.scripts"]


def run(code: str, directory: Path) -> str:
    """Run code in a process of its own; return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_calls_load_nothing_of_the_server_and_no_socketio(tmp_path: Path) -> None:
    code = f"""
import sys
from swallowtail.client import AsyncClient, Client
with Client("http://localhost:1"):
    AsyncClient("http://localhost:1")
print([name for name in {HEAVY + SERVER} if name in sys.modules])
from swallowtail.client.stream.feed import Feed
print([name for name in {SERVER} if name in sys.modules])
"""
    assert run(code, tmp_path).splitlines() == ["[]", "[]"]


def test_a_copy_of_the_directory_needs_no_httpx2_for_socketio(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "clients" / "python", tmp_path / "own_name", ignore=shutil.ignore_patterns("__pycache__"))
    code = """
import sys
sys.modules["httpx2"] = sys.modules["swallowtail"] = None
from own_name import ConnectionFailed, Handlers, TaskWebSocketClient
print(TaskWebSocketClient("http://localhost:1").state, issubclass(TaskWebSocketClient, Handlers))
"""
    assert run(code, tmp_path) == "offline True\n"
