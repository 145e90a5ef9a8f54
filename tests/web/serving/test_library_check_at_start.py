"""A process of any kind stops at its start when a library lacks a name that it uses."""

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
INTERNALS["{library}"] = {{"{owner}": "_gone"}}
{start}
"""
MESSAGE = f"redis {version('redis')} has no redis.Connection._gone, which Swallowtail uses"
POOL = f"SQLAlchemy {version('SQLAlchemy')} has no sqlalchemy.pool.QueuePool._gone, which Swallowtail uses"


@pytest.mark.parametrize(
    ("mode", "library", "owner"),
    [
        ("eventlet", "redis", "redis.Connection"),
        ("gevent", "redis", "redis.Connection"),
        ("threading", "redis", "redis.Connection"),
        ("threading", "Flask-SocketIO", "flask_socketio.SocketIO"),
        ("eventlet", "eventlet", "eventlet.hubs"),
        ("eventlet", "eventlet", "eventlet.wsgi.HttpProtocol"),
        ("gevent", "gevent", "gevent.pywsgi.Input"),
        ("threading", "Werkzeug", "werkzeug.serving.WSGIRequestHandler"),
    ],
)
def test_a_web_process_stops_with_the_librarys_name_and_version(
    tmp_path: Path, mode: str, library: str, owner: str
) -> None:
    start = "from swallowtail.app.wsgi import main\nsys.exit(main([]))"
    env = {"SWALLOWTAIL_ASYNC_MODE": mode, "SWALLOWTAIL_PORT": "0", "SWALLOWTAIL_VAR_DIR": str(tmp_path)}
    done = run(start, env, library, owner)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"settings: {library} {version(library)} has no {owner}._gone, which Swallowtail uses" in done.stderr


def test_a_web_process_names_a_library_that_cannot_be_imported(tmp_path: Path) -> None:
    """Its import ended the process with a traceback before the check ran."""
    start = "sys.modules['flask_socketio'] = None\nfrom swallowtail.app.wsgi import main\nsys.exit(main([]))"
    env = {"SWALLOWTAIL_PORT": "0", "SWALLOWTAIL_VAR_DIR": str(tmp_path)}
    done = run(start, env, "Werkzeug", "werkzeug.serving.WSGIRequestHandler")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"settings: Flask-SocketIO {version('Flask-SocketIO')} has no flask_socketio.SocketIO" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_stops_with_the_librarys_name_and_version(tmp_path: Path) -> None:
    done = run("import swallowtail.workers.celery_app", {"SWALLOWTAIL_VAR_DIR": str(tmp_path)})
    assert done.returncode == 1
    assert f"swallowtail: {MESSAGE}" in done.stderr


@pytest.mark.parametrize(
    ("start", "code", "program"),
    [
        ("from swallowtail.workers.release import main\nsys.argv[1:] = []\nmain()", 1, "release"),
        ("from swallowtail.workers.sweeper_process import main\nmain()", 1, "settings"),
        ("from swallowtail.scripts.cli.main import main\nsys.argv[1:] = ['users']\nmain()", 2, "swallowtail"),
    ],
)
def test_release_sweeper_process_and_command_line_stop_too(tmp_path: Path, start: str, code: int, program: str) -> None:
    """These began work with the wrong library: the check ran in web processes and workers only."""
    done = run(start, {"SWALLOWTAIL_VAR_DIR": str(tmp_path)}, "SQLAlchemy", "sqlalchemy.pool.QueuePool")
    assert (done.returncode, done.stdout) == (code, "")
    assert f"{program}: {POOL}" in done.stderr


def test_the_command_line_checks_the_library_that_follows_a_log(tmp_path: Path) -> None:
    start = "from swallowtail.scripts.cli.main import main\nsys.argv[1:] = ['users']\nmain()"
    done = run(start, {"SWALLOWTAIL_VAR_DIR": str(tmp_path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"swallowtail: {MESSAGE}" in done.stderr


def test_a_release_checks_the_library_of_the_migrations(tmp_path: Path) -> None:
    start = "from swallowtail.workers.release import main\nsys.argv[1:] = []\nmain()"
    done = run(start, {"SWALLOWTAIL_VAR_DIR": str(tmp_path)}, "alembic", "alembic.script.ScriptDirectory")
    assert (done.returncode, [*tmp_path.iterdir()]) == (1, [])
    assert "has no alembic.script.ScriptDirectory._gone" in done.stderr


def run(
    start: str, env: dict[str, str], library: str = "redis", owner: str = "redis.Connection"
) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(start=start, library=library, owner=owner)
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=clean_environment(env),
        capture_output=True,
        text=True,
        timeout=60,
    )
