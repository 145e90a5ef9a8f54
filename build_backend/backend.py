"""The build backend: setuptools, which builds wheels and sdists with the libraries that the pages need.

An sdist holds the libraries, so a wheel that is built from one needs no npm. An editable installation is left as it is:
`scripts/prepare` installs the libraries there.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from browser_libraries import ROOT, VENDOR, find_requirements, install, is_installed
from reproducible import find_time, normalize_sdist
from setuptools import build_meta
from setuptools.build_meta import (
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

Options = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Options = None) -> list[str]:
    """Return what building a wheel needs: Node.js too, if npm has work to do and is not on this machine."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), *find_requirements()]


def get_requires_for_build_sdist(config_settings: Options = None) -> list[str]:
    """Return what building an sdist needs: Node.js too, if npm has work to do and is not on this machine."""
    return [*build_meta.get_requires_for_build_sdist(config_settings), *find_requirements()]


def build_wheel(directory: str, config_settings: Options = None, metadata_directory: str | None = None) -> str:
    """Build a wheel with the libraries of the pages."""
    _install_libraries()
    # setuptools would take files from an earlier build that are not in the tree any more.
    for earlier in ROOT.glob("build/lib*"):
        shutil.rmtree(earlier)
    name: str = build_meta.build_wheel(directory, config_settings, metadata_directory)
    return name


def build_sdist(directory: str, config_settings: Options = None) -> str:
    """Build an sdist with the libraries of the pages; with SOURCE_DATE_EPOCH, the same files give the same bytes."""
    _install_libraries()
    seconds = find_time()
    name: str = build_meta.build_sdist(directory, config_settings)
    if seconds is not None:
        normalize_sdist(Path(directory, name), seconds)
    return name


def _install_libraries() -> None:
    if not is_installed():
        sys.stdout.write(f"Installing the libraries of the pages into {VENDOR}\n")
        install()
