"""The order in which the supervisor starts processes, with programs that record their start and end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.migrate import migrate
from swallowtail.scripts.processes.supervisor import Supervisor
from tests.harness.settings import make_settings
from tests.harness.system.ports import free_port

pytestmark = pytest.mark.unit

NOTE = """
import sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

starts, name, port, code = Path("{starts}"), sys.argv[1], int("{port}"), int("{code}")

def note(what):
    with starts.open("a") as file:
        file.write(what + "\\n")

def noted(what):
    return what in starts.read_text().split("\\n")

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

if name == "release":
    end = time.monotonic() + {patience}
    while not noted("web") and time.monotonic() < end:
        time.sleep(0.02)
    note("release")
    sys.exit(code)
if name == "web":
    server = HTTPServer(("127.0.0.1", port), Answer)
    note("web")
    server.serve_forever()
note(name)
time.sleep(300)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(var_dir=tmp_path, port=free_port(), redis_url="redis://127.0.0.1:1/0")


def start(settings: Settings, *, patience: float, code: int = 0) -> tuple[int, list[str]]:
    """Supervise until the worker starts. Returns the exit code and the records. The release waits that long for web."""
    starts, script = settings.var / "starts", settings.var / "note.py"
    starts.write_text("")
    script.write_text(NOTE.format(starts=starts, port=settings.port, code=code, patience=patience))
    commands = {name: f"{sys.executable} {script} {name}" for name in ("release", "web", "worker")}

    async def run() -> int:
        stopper = asyncio.create_task(stop_after("worker", starts))
        try:
            return await Supervisor(settings, commands).run()
        finally:
            stopper.cancel()

    return asyncio.run(run()), starts.read_text().split()


async def stop_after(last: str, starts: Path) -> None:
    while last not in starts.read_text().split():
        await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGTERM)


def test_web_waits_for_a_release_that_has_to_migrate(settings: Settings) -> None:
    assert start(settings, patience=0.5) == (0, ["release", "web", "worker"])


def test_web_starts_together_with_a_release_without_migrations(settings: Settings) -> None:
    migrate(settings)
    assert start(settings, patience=100.0) == (0, ["web", "release", "worker"])


def test_a_failed_release_ends_the_web_process(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(settings)
    assert start(settings, patience=100.0, code=3) == (1, ["web", "release"])
    assert "the release ended with exit code 3; web is stopped again" in capsys.readouterr().out


def test_a_release_that_fails_before_web_leaves_it_unstarted(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(settings, patience=0.1, code=3) == (1, ["release"])
    assert "the release ended with exit code 3; nothing else is started" in capsys.readouterr().out
