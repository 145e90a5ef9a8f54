"""Wheel and sdist hold all that an installation without the repository needs, and the base installation is small."""

from __future__ import annotations

import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from swallowtail.version import VERSION
from tests.harness.program import ROOT
from tests.harness.system.distributions import run_outside

pytestmark = [pytest.mark.journey, pytest.mark.long]

#: Megabytes and packages that `pip install swallowtail` may install, compiled files and itself included.
MOST_BYTES, MOST_PACKAGES = 40_000_000, 25
SCRIPTS = ("socket.io.min.js", "socket.io.esm.min.js")


def test_the_wheel_holds_every_kind_of_file(built_wheel: Path) -> None:
    held = set(ZipFile(built_wheel).namelist())
    migrations = {f"app/migrations/versions/{path.name}" for path in (ROOT / "app/migrations/versions").glob("0*.py")}
    clients = {f"clients/javascript/{path.name}" for path in (ROOT / "clients/javascript").glob("*.js")}
    expected = {
        "py.typed",
        "testing.py",
        "Procfile",
        "alembic.ini",
        ".env.example",
        "app/migrations/script.py.mako",
        "app/web/templates/task.html",
        "app/web/static/css/app.css",
        "client/task_websocket_client.py",
        "docs/websocket_client_example.html",
        "examples/brief.md",
        "examples/nginx.conf",
        "examples/word_count.py",
        *(f"app/web/static/vendor/{name}" for name in SCRIPTS),
        *migrations,
        *clients,
    }
    assert migrations
    assert clients
    assert {name for name in expected if f"swallowtail/{name}" not in held} == set()
    assert {name.split("/")[0] for name in held} == {"swallowtail", f"swallowtail-{VERSION}.dist-info"}


def test_a_wheel_built_from_the_sdist_needs_no_npm(distributions: Path) -> None:
    """The fixture's wheel is built from its sdist, where npm fails."""
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {member.name.partition("/")[2] for member in archive if member.isfile() or member.issym()}
    scripts = {f"app/web/static/vendor/{name}" for name in SCRIPTS}
    assert {"package-lock.json", "build_backend/backend.py", "swallowtail/Procfile", "tests/conftest.py"} <= held
    assert scripts <= held
    assert not [name for name in held if name.endswith(".pyc") or "node_modules" in name]


def test_the_base_installation_is_small(installed_base: Path) -> None:
    (packages,) = installed_base.parent.glob("lib/python*/site-packages")
    files = [path for path in packages.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert len(list(packages.glob("*.dist-info"))) <= MOST_PACKAGES


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("enqueue", "--help")])
def test_the_command_line_starts_on_the_base_installation(
    installed_base: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = run_outside(installed_base, tmp_path, "swallowtail", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    if arguments == ("--version",):
        assert done.stdout == f"swallowtail {VERSION}\n"


@pytest.mark.parametrize("command", ["up", "web", "worker", "beat", "release", "users"])
def test_a_command_of_the_server_names_the_extra(installed_base: Path, tmp_path: Path, command: str) -> None:
    done = run_outside(installed_base, tmp_path, "swallowtail", command)
    assert done.returncode == 2
    assert f"swallowtail {command} needs the server's packages: pip install 'swallowtail[server]'" in done.stderr


def test_the_public_names_are_there_on_the_base_installation(installed_base: Path, tmp_path: Path) -> None:
    code = "from swallowtail import Context, PermanentError, __version__, agent, client; print(__version__)"
    assert run_outside(installed_base, tmp_path, "python", "-c", code).stdout == f"{VERSION}\n"
