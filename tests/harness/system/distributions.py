"""The wheel and the sdist of this tree, built once for all tests of a run, and environments that install the wheel."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.program import ROOT

VENDOR = "app/web/static/vendor"
#: Seconds for a first start, in which each process compiles what it imports.
FIRST_START = 240.0
#: The installer, which reads packages that it has downloaded before from its cache.
UV = (sys.executable, "-m", "uv")


def build(place: Path) -> None:
    """Build an sdist from the files of this tree, and a wheel from the sdist, without npm, into `place`."""
    tree, programs = place / "tree", place / "programs"
    list_files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(list_files, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in listed.split("\0")[:-1]:
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
    shutil.copytree(ROOT / VENDOR, tree / VENDOR, dirs_exist_ok=True)
    programs.mkdir()
    (programs / "npm").write_text("#!/bin/sh\necho 'npm must not run' >&2\nexit 1\n")
    (programs / "npm").chmod(0o755)
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    run_uv("build", "--quiet", "--out-dir", str(place), str(tree), path=path)


def make_environment(place: Path, *arguments: str) -> Path:
    """Make a virtual environment and install into it what the arguments say; return its directory of programs."""
    run_uv("venv", "--quiet", "--python", sys.executable, str(place))
    run_uv("pip", "install", "--quiet", "--python", str(place / "bin/python"), *arguments)
    return place / "bin"


def run_uv(*arguments: str, path: str | None = None) -> None:
    """Run the installer. Fails the test with what it prints."""
    environment = os.environ if path is None else os.environ | {"PATH": path}
    done = subprocess.run([*UV, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def run_outside(programs: Path, directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a program of an environment in `directory`, as a user without this repository would."""
    return subprocess.run(
        [str(programs / command[0]), *command[1:]],
        cwd=directory,
        env=outside_environment(directory),
        capture_output=True,
        text=True,
        check=False,
    )


def outside_environment(home: Path) -> dict[str, str]:
    """Return the environment variables of a user who has set none for Swallowtail or Python."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}


@pytest.fixture(scope="session")
def distributions(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the one wheel and the one sdist: of this tree, or those of `--distributions`."""
    chosen: Path | None = request.config.getoption("--distributions")
    return chosen.resolve() if chosen else _once(tmp_path_factory, "distributions", build)


@pytest.fixture(scope="session")
def built_wheel(distributions: Path) -> Path:
    """The wheel."""
    (wheel,) = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed_base(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of programs of an environment after `pip install swallowtail`."""
    # Compiled, as by pip, for its size.
    arguments = ("--compile-bytecode", str(built_wheel))
    return _once(tmp_path_factory, "base", lambda place: make_environment(place, *arguments)) / "bin"


@pytest.fixture(scope="session")
def installed_server(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of programs of an environment after `pip install 'swallowtail[server,campaign]'`."""
    wanted = f"swallowtail[server,campaign] @ {built_wheel.as_uri()}"
    return _once(tmp_path_factory, "server", lambda place: make_environment(place, wanted)) / "bin"


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a directory that `make` fills for the first process of the run that asks; the others wait for it."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    place = shared / f"shared-{name}"
    with _locked(shared / f"{name}.lock"):
        if not (shared / f"{name}.done").exists():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            make(place)
            (shared / f"{name}.done").touch()
    return place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
