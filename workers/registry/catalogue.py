"""Finds the installed agents, and publishes a card of each in the database.

An agent is a plain function with the `agent` decorator. It is discovered through the entry point group
`swallowtail.agents`, through the setting `SWALLOWTAIL_AGENTS` (dotted modules, comma separated), and in `agents.py` or
`agents/` of the folder that the process was started in (`workers/registry/project_folder`). Submission validates input
against the cards; `run_task` calls the functions. `python -m swallowtail.workers.registry.catalogue` writes the cards.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.agent_cards import PROBE, AgentCard, register, withdraw
from swallowtail.extras import explain_missing_extra, has_extra
from swallowtail.workers.registry.declaration import AgentSpec, CatalogueError, qualified_name
from swallowtail.workers.registry.input_schema import input_schema, output_schema
from swallowtail.workers.registry.project_folder import add_to_path, find_agent_modules, import_from, locate
from swallowtail.workers.run.error_text import describe

log = structlog.get_logger(__name__)

GROUP = "swallowtail.agents"


def load_agents(settings: Settings) -> dict[str, AgentSpec]:
    """Return the available agents by kind, in alphabetical order. Raises CatalogueError."""
    agents: dict[str, AgentSpec] = {}
    for source, spec in _find(settings):
        if spec.kind == PROBE and not settings.has_probe:
            continue
        other = agents.setdefault(spec.kind, spec)
        if other is not spec:
            raise CatalogueError(
                f"{source}: the agent kind {spec.kind!r} is defined twice, "
                f"by {qualified_name(other.function)} and by {qualified_name(spec.function)}"
            )
    return dict(sorted(agents.items()))


def card(spec: AgentSpec) -> AgentCard:
    """Return the agent's card. Raises CatalogueError if a model has no JSON Schema."""
    try:
        return AgentCard(
            kind=spec.kind,
            title=spec.title,
            description=spec.description,
            version=spec.version,
            input_schema=input_schema(spec.input_model),
            soft_time_limit=spec.soft_time_limit,
            hard_time_limit=spec.hard_time_limit,
            output_schema=None if spec.output_model is None else output_schema(spec.output_model),
        )
    except Exception as problem:  # a model may define its own schema code
        reason = f"its input or output has no JSON Schema: {describe(problem)['message']}"
        raise CatalogueError(f"agent {spec.kind!r} ({qualified_name(spec.function)}): {reason}") from problem


def _find(settings: Settings) -> Iterator[tuple[str, AgentSpec]]:
    folder = Path.cwd()
    add_to_path(folder)
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        missing = _find_missing_extra(point)
        if missing is not None:
            log.warning("agent_absent", kind=point.name, reason=explain_missing_extra(point.name, missing))
            continue
        source = f"entry point {GROUP}: {point.name} = {point.value}"
        yield from _load(source, point.load, "fix the package that provides it, or uninstall it")
    for name in filter(None, (part.strip() for part in settings.agents.split(","))):
        source = f"SWALLOWTAIL_AGENTS: {name}"
        remedy = "fix the module, or remove it from SWALLOWTAIL_AGENTS"
        yield from _load(source, partial(importlib.import_module, name), remedy)
    if settings.find_agents:
        yield from _find_in_folder(folder)


def _find_in_folder(folder: Path) -> Iterator[tuple[str, AgentSpec]]:
    files, count, remedy = [], 0, "fix it, or set SWALLOWTAIL_FIND_AGENTS=false"
    for file, name in find_agent_modules(folder):
        files.append(str(file))
        for source, spec in _load(str(file), partial(import_from, folder, name), remedy, is_required=False):
            count += 1
            yield source, spec
    if files and not count:
        log.warning("no_agents_in_folder", files=files, hint="no function with the @agent decorator is defined there")


def _find_missing_extra(point: EntryPoint) -> str | None:
    """Return the extra of ours that an agent of ours names behind its module and that is not installed."""
    extras = point.extras if point.module.startswith("swallowtail.") else []
    return next((extra for extra in extras if not has_extra(extra)), None)


def _load(
    source: str, load: Callable[[], Any], remedy: str, *, is_required: bool = True
) -> Iterable[tuple[str, AgentSpec]]:
    """Load the agents of a source. Any failure, even SystemExit, is reported as an error of the source."""
    folder = Path.cwd()
    try:
        with _same_directory(source):
            specs = _specs(load())
        if is_required and not specs:
            raise CatalogueError(f"{source}: no function with the @agent decorator is defined there")
        return [(source, spec) for spec in specs]
    except CatalogueError as problem:
        raise CatalogueError(problem.message if source in problem.message else f"{source}: {problem}") from problem
    except BaseException as problem:  # SystemExit and KeyboardInterrupt too: an agent's module may do anything
        kind, text = type(problem).__name__, describe(problem)["message"]
        reason = (text if text.startswith(kind) else f"{kind}: {text}").rstrip(": ")
        place = locate(problem, folder)
        # A SyntaxError has the name of its file, and the line, in its text.
        where = f" ({place})" if place and not isinstance(problem, SyntaxError) else ""
        raise CatalogueError(f"{source}: cannot be loaded: {reason}{where}; {remedy}") from problem


@contextmanager
def _same_directory(source: str) -> Iterator[None]:
    """Restore the working directory after the block: programs that are started later depend on it."""
    start = os.getcwd()
    try:
        yield
    finally:
        now = None
        with suppress(FileNotFoundError):  # it changed into a directory and removed it
            now = os.getcwd()
        if now != start:
            log.warning("directory_changed", by=source, back_to=start)
            os.chdir(start)


def _specs(loaded: Any) -> list[AgentSpec]:
    """Return the agents that a module defines, or the one agent that an entry point names."""
    if isinstance(loaded, ModuleType):
        members = [value for value in vars(loaded).values() if getattr(value, "__module__", "") == loaded.__name__]
    else:
        members = [loaded]
    return [spec for spec in (getattr(member, "agent_spec", None) for member in members) if spec is not None]


def main() -> int:
    """Write every agent's card to the database; the exit code is 1 if an agent is invalid."""
    try:
        settings = load_settings()
        agents = load_agents(settings)
        database = Database(settings)
        try:
            register(database, [card(spec) for spec in agents.values()])
            if PROBE not in agents:
                withdraw(database, PROBE)
        finally:
            database.dispose()
    except SwallowtailError as problem:
        sys.stderr.write(f"catalogue: {problem}\n")
        return 1
    sys.stdout.write(f"catalogue: {len(agents)} agents: {', '.join(agents)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
