"""The package holds every module and data file that an installation without the repository needs."""

from __future__ import annotations

import re
import sys
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

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
