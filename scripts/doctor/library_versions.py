"""Checks the versions of Python and of the libraries, their private names, and the browser's libraries."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.resources import files

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.process.library_check import COMMAND, RELEASE, WEB, WORKER, check_libraries
from swallowtail.scripts.doctor.results import CheckResult

_NAME = "swallowtail"
#: The client of Socket.IO for pages: as a script and as a module.
_BROWSER_FILES = ("socket.io.min.js", "socket.io.esm.min.js")
_SERVER = "server"


def check_versions() -> Iterator[CheckResult]:
    """Check that Python and the libraries are in the supported ranges, and have the private names that we use."""
    python, supported = platform.python_version(), SpecifierSet(metadata(_NAME)["Requires-Python"] or "")
    if not supported.contains(python, prereleases=True):
        yield CheckResult("problem", "Python", f"{python} is not supported", f"install Python {supported}")
    wrong = [*_find_wrong_versions()]
    yield from wrong
    if not wrong:
        detail = f"Swallowtail {version(_NAME)} on Python {python}; every library is in its range"
        yield CheckResult("ok", "versions", detail)
    try:
        # The server of the web process checks itself at its start: to import it takes long.
        check_libraries(*{*COMMAND, *RELEASE, *WEB, *WORKER})
    except (SettingsError, PackageNotFoundError) as error:
        message = getattr(error, "message", f"{error.name} is not installed" if hasattr(error, "name") else str(error))
        yield CheckResult("problem", "libraries", message, "pip install --upgrade 'swallowtail[server]'")


def _find_wrong_versions() -> Iterator[CheckResult]:
    """Yield each library that is missing or outside of its range. Those of an unused extra may be missing."""
    seen = set()
    for line in requires(_NAME) or []:
        requirement = Requirement(line)
        extra = next((name for name in _extras() if _is_wanted(requirement, name)), None)
        if extra is None or requirement.name in seen:
            continue
        seen.add(requirement.name)
        ask = f"pip install '{requirement.name}{requirement.specifier}'"
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            if extra in ("", _SERVER):
                yield CheckResult("problem", "versions", f"{requirement.name} is not installed", ask)
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            detail = f"{requirement.name} {installed} is outside of {requirement.specifier}"
            yield CheckResult("warning", "versions", detail, ask)


def _extras() -> list[str]:
    """Return the extras; the base comes first, and the server second."""
    names = metadata(_NAME).get_all("Provides-Extra") or []
    return ["", _SERVER, *(name for name in names if name != _SERVER)]


def _is_wanted(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def check_browser_files() -> Iterator[CheckResult]:
    """Check that the files of the pages' Socket.IO client are there."""
    vendor = files("swallowtail.app.web") / "static" / "vendor"
    missing = [name for name in _BROWSER_FILES if not (vendor / name).is_file()]
    if missing:
        detail = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: pages show no live state"
        remedy = "install the wheel again; in a checkout, run ./scripts/prepare"
        yield CheckResult("problem", "browser libraries", detail, remedy)
    else:
        yield CheckResult("ok", "browser libraries", "the Socket.IO client of the pages is installed")
