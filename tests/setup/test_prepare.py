"""scripts/prepare finds a Python, says why an installation fails, and does nothing where everything is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness.program import ROOT

pytestmark = pytest.mark.service


def prepare(tree: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tree's scripts/prepare with only `path` on its PATH."""
    bash = shutil.which("bash")
    assert bash is not None
    return subprocess.run(
        [bash, str(tree / "scripts/prepare"), *arguments], env={"PATH": str(path)}, capture_output=True, text=True
    )


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A directory with the few programs that are on every machine."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("cat", "cksum", "dirname", "grep", "rm", "tail", "tee"):
        matches = shutil.which(name)
        assert matches is not None
        (directory / name).symlink_to(matches)
    return directory


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree without an installation."""
    for name in ("scripts/prepare", "setup.cfg", "pyproject.toml", "package.json", "package-lock.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_without_any_python_it_says_which_it_needs(tree: Path, programs: Path) -> None:
    done = prepare(tree, programs)
    assert done.returncode == 1
    assert done.stderr.startswith("Swallowtail needs Python 3.11 or newer")
    assert not (tree / ".venv").exists()


def test_a_python_that_is_too_old_is_ignored(tree: Path, programs: Path) -> None:
    old = programs / "python3"
    old.write_text(f"#!{shutil.which('bash')}\nexit 1\n")
    old.chmod(0o755)
    done = prepare(tree, programs)
    assert done.returncode == 1
    assert done.stderr.startswith("Swallowtail needs Python 3.11 or newer")


def test_an_unknown_purpose_is_refused(tree: Path, programs: Path) -> None:
    done = prepare(tree, programs, "dve")
    assert (done.returncode, done.stderr) == (2, "scripts/prepare: unknown purpose 'dve'; use run, check or dev\n")


@pytest.mark.skipif(not (ROOT / ".venv/swallowtail-installed").exists(), reason="not installed by scripts/prepare")
def test_where_everything_is_installed_it_does_nothing(programs: Path) -> None:
    done = prepare(ROOT, programs)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


#: Stands for the environment's Python: pip works, and fails to install while the file `fault` exists.
PYTHON = """#!{bash}
case "$*" in
    "-m pip --version") ;;
    "-m pip install"*) [ ! -e fault ] || {{ echo "Collecting celery"; cat fault; exit 1; }} ;;
    *browser_libraries.py*) exit 1 ;;
esac
"""
NO_NETWORK = "ERROR: Could not find a version that satisfies celery\nERROR: Failed to establish a new connection\n"


def install_program(path: Path, text: str) -> None:
    """Write a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(bash=shutil.which("bash")))
    path.chmod(0o755)


def test_a_failure_of_pip_is_shown_with_a_remedy_and_the_next_run_repairs_it(tree: Path, programs: Path) -> None:
    install_program(tree / ".venv/bin/python", PYTHON)
    (tree / "fault").write_text(NO_NETWORK)
    done = prepare(tree, programs, "check")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == [
        "scripts/prepare: the Python packages could not be installed:",
        *NO_NETWORK.splitlines(),
        "The package index was not reached: check the network and the proxy (HTTPS_PROXY), then run this again.",
    ]
    assert not (tree / ".venv/swallowtail-installed").exists()

    (tree / "fault").unlink()
    done = prepare(tree, programs, "check")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert prepare(tree, programs, "check").stderr == ""


def test_a_failure_of_npm_is_shown_with_the_place_of_its_output(tree: Path, programs: Path) -> None:
    install_program(tree / ".venv/bin/python", PYTHON)
    install_program(programs / "npm", "#!{bash}\necho 'npm error code EUSAGE: package.json is wrong' >&2; exit 1\n")
    done = prepare(tree, programs)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-3:] == [
        "scripts/prepare: the JavaScript packages could not be installed:",
        "npm error code EUSAGE: package.json is wrong",
        "The whole output is in .venv/swallowtail-install.log. Run this again once the cause is mended.",
    ]
