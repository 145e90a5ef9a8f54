"""The package holds every module and data file that an installation without the repository needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.architecture.source_tree import read_tree

ROOT = Path(__file__).resolve().parents[2]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")
#: Each top package's folder.
FOLDERS = dict(line.split(" = ") for line in SETUP["options"]["package_dir"].strip().splitlines())


#: Folders of files that are installed below the package, and of which only a few are.
ALONE = ("swallowtail.clients.javascript", "swallowtail.docs", "swallowtail.examples")
#: Parts of Celery, Flask and Typer, which choose their versions.
INCLUDED = {"amqp", "billiard", "click", "itsdangerous", "werkzeug"}


def find(patterns: str, base: Path) -> set[Path]:
    """Return the files below `base` that a list of patterns in setup.cfg names."""
    return {path for pattern in patterns.split() for path in base.glob(pattern + "/*" * pattern.endswith("**"))}


@pytest.mark.unit
def test_every_file_of_the_packages_that_is_no_module_is_named() -> None:
    folders = {package: ROOT / folder for package, folder in FOLDERS.items() if package not in ALONE}
    for_a_checkout = set((ROOT / "scripts").iterdir())
    beside = {
        path
        for folder in folders.values()
        for path in set(folder.rglob("*")) - for_a_checkout
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    named = {
        path
        for package, patterns in SETUP["options.package_data"].items()
        for path in find(patterns, ROOT / FOLDERS[package])
    }

    assert beside - named == set()


@pytest.mark.unit
def test_setuptools_finds_every_package() -> None:
    """A directory of modules without an `__init__.py` would be left out silently."""
    listed = SETUP["options"]["packages"].split()
    for package, folder in FOLDERS.items():
        modules = [] if package in ALONE else (ROOT / folder).rglob("*.py")
        for module in modules:
            assert (module.parent / "__init__.py").exists(), module
            assert ".".join((package, *module.parent.relative_to(ROOT / folder).parts)) in listed, module


@pytest.mark.long
@pytest.mark.journey
def test_a_wheel_contains_these_files(tmp_path: Path) -> None:
    copy = tmp_path / "swallowtail"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in listed.decode().split("\0")[:-1]:
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(copy)]
    built = subprocess.run(pip, capture_output=True, text=True, check=False)
    if built.returncode and not os.environ.get("CI"):
        pytest.skip(f"no wheel can be built here: {built.stderr[-300:]}")

    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    held = set(ZipFile(wheel).namelist())
    for name in ("templates/task.html", "static/css/app.css"):
        assert f"swallowtail/app/web/{name}" in held
    assert {"swallowtail/py.typed", "swallowtail/testing.py", "swallowtail/client/task_websocket_client.py"} <= held
    tops = {entry.split("/")[0] for entry in held}
    assert tops == {"swallowtail", *(top for top in tops if top.startswith("swallowtail-"))}
    for name in ("docs/websocket_client_example.html", "clients/javascript/task_websocket_client.js", "Procfile"):
        assert f"swallowtail/{name}" in held


@pytest.mark.unit
def test_every_imported_library_is_a_requirement() -> None:
    """A library that another one happens to install may come in any version, or not at all."""
    required = "\n".join([SETUP["options"]["install_requires"], *SETUP["options.extras_require"].values()])
    names = {plain(name) for name in re.findall(r"^[\w.-]+", required, re.MULTILINE)}
    distributions = packages_distributions()
    tops = {item.module.partition(".")[0] for source in read_tree().python() for item in source.imports}
    libraries = tops - sys.stdlib_module_names - INCLUDED - {"", "swallowtail"}
    assert {top for top in libraries if names.isdisjoint(map(plain, distributions.get(top, [])))} == set()


def plain(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()
