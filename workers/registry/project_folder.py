"""Finds the agents of the folder that a process was started in: `agents.py`, or the modules of `agents/`.

The folder comes first on the path, as with Flask and Celery, and only after our own modules and libraries were
imported: a project's own `redis.py` replaces none of them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, TracebackType

from swallowtail.workers.registry.declaration import CatalogueError

NAME = "agents"


def add_to_path(folder: Path) -> None:
    """Put the folder first on the path of imports, unless it is on it."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def find_agent_modules(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield file and name of each module that may define agents: `agents.py`, or those of `agents/` without tests."""
    package, file = folder / NAME, folder / f"{NAME}.py"
    initial = package / "__init__.py"
    if not initial.is_file() and file.is_file():
        # As Python does: a folder without `__init__.py` comes after a module of the same name.
        yield file, NAME
        return
    if initial.is_file():
        yield initial, NAME
    for path in sorted(package.glob("*.py")):
        if path.stem.isidentifier() and path != initial and not _is_test(path.stem):
            yield path, f"{NAME}.{path.stem}"


def import_from(folder: Path, name: str) -> ModuleType:
    """Import a module of the folder. Raises CatalogueError if another `agents` is imported under its name."""
    module = importlib.import_module(name)
    place = Path(module.__file__ or "/").resolve()
    if folder.resolve() not in place.parents:
        raise CatalogueError(f"the name {name} belongs to {place}; rename yours, and list it in SWALLOWTAIL_AGENTS")
    return module


def locate(problem: BaseException, folder: Path) -> str:
    """Return the last line of the folder's code that an error passed, as `agents.py, line 3`; "" if there is none."""
    if isinstance(problem, SyntaxError) and problem.filename:
        return _describe_line(Path(problem.filename), problem.lineno or 0, folder)
    trace: TracebackType | None = problem.__traceback__
    place = ""
    while trace is not None:
        place = _describe_line(Path(trace.tb_frame.f_code.co_filename), trace.tb_lineno, folder) or place
        trace = trace.tb_next
    return place


def _describe_line(file: Path, line: int, folder: Path) -> str:
    if not file.is_relative_to(folder) or "site-packages" in file.parts:
        return ""
    return f"{file.relative_to(folder)}, line {line}"


def _is_test(stem: str) -> bool:
    return stem.startswith("test_") or stem.endswith("_test") or stem == "conftest"
