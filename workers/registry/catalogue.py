"""Finds the installed agents, and publishes a card of each in the database.

An agent is a plain function with the `agent` decorator. It is discovered through the entry point group
`swallowtail.agents`, or through the setting `SWALLOWTAIL_AGENTS` (dotted modules, comma separated). Submission
validates input against the cards; `run_task` calls the functions. `python -m swallowtail.workers.registry.catalogue`
writes the cards.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.database.database import Database
from swallowtail.app.core.errors import SwallowtailError
from swallowtail.app.core.ledger.agent_cards import PROBE, AgentCard, register, withdraw
from swallowtail.workers.registry.input_schema import input_schema, output_schema
from swallowtail.workers.run.context import Context
from swallowtail.workers.run.error_text import describe
from swallowtail.workers.run.step_names import is_async

log = structlog.get_logger(__name__)

GROUP = "swallowtail.agents"
KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")

Input = TypeVar("Input", bound=BaseModel)


class CatalogueError(SwallowtailError):
    """An agent cannot be used as it is written or configured; the message names it and the reason."""

    code = "bad_agent"


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent: its name, its input and output, and the function that runs it.

    `soft_time_limit` and `hard_time_limit` are seconds; None leaves them to the settings.
    """

    kind: str
    title: str
    description: str
    version: str
    input_model: type[BaseModel]
    function: Callable[[Context, Any], Any]
    soft_time_limit: float | None = None
    hard_time_limit: float | None = None
    output_model: type[BaseModel] | None = None


def agent(
    *,
    kind: str,
    title: str,
    input: type[Input],  # noqa: A002 - reads as `@agent(kind=…, input=…)` where agents are written
    description: str = "",
    version: str = "1",
    soft_time_limit: float | None = None,
    hard_time_limit: float | None = None,
    output: type[BaseModel] | None = None,
) -> Callable[[Callable[[Context, Input], Any]], Callable[[Context, Input], Any]]:
    """Mark a function `(ctx, task_input)` as the agent for tasks of `kind`; `input` is the model of `task_input`.

    The function stays a normal function. Raises CatalogueError if an argument or the function's parameters are invalid.
    """

    def mark(function: Callable[[Context, Input], Any]) -> Callable[[Context, Input], Any]:
        text = inspect.cleandoc(description or function.__doc__ or "")
        spec = AgentSpec(kind, title, text, version, input, function, soft_time_limit, hard_time_limit, output)
        _check(spec)
        function.agent_spec = spec  # type: ignore[attr-defined]
        return function

    return mark


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
                f"by {_qualified_name(other.function)} and by {_qualified_name(spec.function)}"
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
        raise CatalogueError(f"agent {spec.kind!r} ({_qualified_name(spec.function)}): {reason}") from problem


def _check(spec: AgentSpec) -> None:
    where = f"agent {spec.kind!r} ({_qualified_name(spec.function)})"
    if not KIND.fullmatch(spec.kind):
        raise CatalogueError(f"{where}: kind must be lower-case letters, digits and _, starting with a letter")
    if not 0 < len(spec.title) <= 200 or not 0 < len(spec.version) <= 50:
        raise CatalogueError(f"{where}: title takes 1 to 200 characters, version 1 to 50")
    if not _is_model(spec.input_model):
        raise CatalogueError(f"{where}: input must be a Pydantic model class, not {spec.input_model!r}")
    if spec.output_model is not None and not _is_model(spec.output_model):
        raise CatalogueError(f"{where}: output must be a Pydantic model class, not {spec.output_model!r}")
    if is_async(spec.function) or inspect.isgeneratorfunction(spec.function):
        raise CatalogueError(f"{where}: must be an ordinary function, neither async nor a generator")
    try:
        inspect.signature(spec.function).bind("ctx", "task_input")
    except TypeError as problem:
        raise CatalogueError(f"{where}: must take exactly (ctx, task_input): {problem}") from None
    _check_limits(where, spec.soft_time_limit, spec.hard_time_limit)


def _is_model(candidate: object) -> bool:
    return inspect.isclass(candidate) and issubclass(candidate, BaseModel)


def _check_limits(where: str, soft: float | None, hard: float | None) -> None:
    for name, value in (("soft_time_limit", soft), ("hard_time_limit", hard)):
        if value is not None and value <= 0:
            raise CatalogueError(f"{where}: {name} must be more than 0 seconds, not {value}")
    if soft is not None and hard is not None and hard <= soft:
        raise CatalogueError(f"{where}: hard_time_limit ({hard} s) must be longer than soft_time_limit ({soft} s)")


def _find(settings: Settings) -> Iterator[tuple[str, AgentSpec]]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        source = f"entry point {GROUP}: {point.name} = {point.value}"
        yield from _load(source, point.load, "fix the package that provides it, or uninstall it")
    for name in filter(None, (part.strip() for part in settings.agents.split(","))):
        source = f"SWALLOWTAIL_AGENTS: {name}"
        remedy = "fix the module, or remove it from SWALLOWTAIL_AGENTS"
        yield from _load(source, partial(importlib.import_module, name), remedy)


def _load(source: str, load: Callable[[], Any], remedy: str) -> Iterable[tuple[str, AgentSpec]]:
    """Load the agents of a source. Any failure, even SystemExit, is reported as an error of the source."""
    try:
        with _same_directory(source):
            return _specs(source, load())
    except CatalogueError as problem:
        raise CatalogueError(problem.message if source in problem.message else f"{source}: {problem}") from problem
    except BaseException as problem:  # SystemExit and KeyboardInterrupt too: an agent's module may do anything
        kind, text = type(problem).__name__, describe(problem)["message"]
        reason = text if text.startswith(kind) else f"{kind}: {text}"
        raise CatalogueError(f"{source}: cannot be loaded: {reason.rstrip(': ')}; {remedy}") from problem


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


def _specs(source: str, loaded: Any) -> Iterable[tuple[str, AgentSpec]]:
    """Return the agents that a module defines, or the one agent that an entry point names."""
    if isinstance(loaded, ModuleType):
        members = [value for value in vars(loaded).values() if getattr(value, "__module__", "") == loaded.__name__]
    else:
        members = [loaded]
    specs = [spec for spec in (getattr(member, "agent_spec", None) for member in members) if spec is not None]
    if not specs:
        raise CatalogueError(f"{source}: no function with the @agent decorator is defined there")
    return [(source, spec) for spec in specs]


def _qualified_name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


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
