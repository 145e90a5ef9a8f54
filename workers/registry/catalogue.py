"""Which agents exist. Comes before the road of an event: `actions.submit` checks input against the cards written
here, and `run_task` looks up the function to call.

An agent is a plain function with the `agent` decorator. It is found through the entry point group
`swallowtail.agents`, or through the setting `SWALLOWTAIL_AGENTS` (dotted modules, comma separated).
`python -m swallowtail.workers.registry.catalogue` writes every agent's card to the database.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
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
from swallowtail.workers.run.outcomes import describe
from swallowtail.workers.run.step_names import is_async

log = structlog.get_logger(__name__)

GROUP = "swallowtail.agents"
KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")

Given = TypeVar("Given", bound=BaseModel)


class CatalogueError(SwallowtailError):
    """An agent cannot be used as it is written or configured; the message says which one and why."""

    code = "bad_agent"


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """One agent: what it is called, what it takes, and the function that runs it.

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
    input: type[Given],  # noqa: A002 - reads as `@agent(kind=…, input=…)` where agents are written
    description: str = "",
    version: str = "1",
    soft_time_limit: float | None = None,
    hard_time_limit: float | None = None,
    output: type[BaseModel] | None = None,
) -> Callable[[Callable[[Context, Given], Any]], Callable[[Context, Given], Any]]:
    """Mark a function `(ctx, given)` as the agent for tasks of `kind`; the function stays as it was, callable.

    `input` is the Pydantic model of `given`. Raises CatalogueError when the kind, the limits, the model or the
    function's parameters cannot work.
    """

    def mark(function: Callable[[Context, Given], Any]) -> Callable[[Context, Given], Any]:
        text = inspect.cleandoc(description or function.__doc__ or "")
        spec = AgentSpec(kind, title, text, version, input, function, soft_time_limit, hard_time_limit, output)
        _check(spec)
        function.agent_spec = spec  # type: ignore[attr-defined]
        return function

    return mark


def load_agents(settings: Settings) -> dict[str, AgentSpec]:
    """Find every agent that may be asked for, by kind in alphabetical order.

    Raises CatalogueError when a module cannot be imported or holds no agent, or when two functions claim one kind.
    """
    found: dict[str, AgentSpec] = {}
    for source, spec in _find(settings):
        if spec.kind == PROBE and not settings.has_probe:
            continue
        other = found.setdefault(spec.kind, spec)
        if other is not spec:
            raise CatalogueError(
                f"{source}: the agent kind {spec.kind!r} is defined twice, "
                f"by {_place(other.function)} and by {_place(spec.function)}"
            )
    return dict(sorted(found.items()))


def card(spec: AgentSpec) -> AgentCard:
    """The agent's entry in the catalogue: everything a form, an API or a scheduler needs without importing it.

    Raises CatalogueError when a model of it has no JSON Schema.
    """
    try:
        return _card(spec)
    except Exception as problem:  # a model may bring schema code of its own
        where = f"agent {spec.kind!r} ({_place(spec.function)})"
        told = describe(problem)["message"]
        raise CatalogueError(f"{where}: its input or output has no JSON Schema: {told}") from problem


def _card(spec: AgentSpec) -> AgentCard:
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


def _check(spec: AgentSpec) -> None:
    where = f"agent {spec.kind!r} ({_place(spec.function)})"
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
        inspect.signature(spec.function).bind("ctx", "given")
    except TypeError as problem:
        raise CatalogueError(f"{where}: must take exactly (ctx, given): {problem}") from None
    _check_limits(where, spec.soft_time_limit, spec.hard_time_limit)


def _is_model(given: object) -> bool:
    return inspect.isclass(given) and issubclass(given, BaseModel)


def _check_limits(where: str, soft: float | None, hard: float | None) -> None:
    for name, value in (("soft_time_limit", soft), ("hard_time_limit", hard)):
        if value is not None and value <= 0:
            raise CatalogueError(f"{where}: {name} must be more than 0 seconds, not {value}")
    if soft is not None and hard is not None and hard <= soft:
        raise CatalogueError(f"{where}: hard_time_limit ({hard} s) must be longer than soft_time_limit ({soft} s)")


def _find(settings: Settings) -> Iterator[tuple[str, AgentSpec]]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        source = f"entry point {GROUP}: {point.name} = {point.value}"
        yield from _load(source, point.load, "mend the package that has it, or uninstall it")
    for name in filter(None, (part.strip() for part in settings.agents.split(","))):
        source = f"SWALLOWTAIL_AGENTS: {name}"
        remedy = "mend the module, or take it out of SWALLOWTAIL_AGENTS"
        yield from _load(source, partial(importlib.import_module, name), remedy)


def _load(source: str, load: Callable[[], Any], remedy: str) -> Iterable[tuple[str, AgentSpec]]:
    """Load what a source names. However it fails, even by ending the program, that is told as the source's fault."""
    try:
        with _staying(source):
            return _specs(source, load())
    except CatalogueError as problem:
        raise CatalogueError(problem.message if source in problem.message else f"{source}: {problem}") from problem
    except BaseException as problem:  # sys.exit and KeyboardInterrupt as well: an agent's module may do anything
        kind, text = type(problem).__name__, describe(problem)["message"]
        told = text if text.startswith(kind) else f"{kind}: {text}"
        raise CatalogueError(f"{source}: cannot be loaded: {told.rstrip(': ')}; {remedy}") from problem


@contextmanager
def _staying(source: str) -> Iterator[None]:
    """Go back to the directory where the process was started: whatever else it starts must find the same files."""
    start = os.getcwd()
    try:
        yield
    finally:
        if not _is_at(start):
            log.warning("directory_changed", by=source, back_to=start)
            os.chdir(start)


def _is_at(directory: str) -> bool:
    try:
        return os.getcwd() == directory
    except FileNotFoundError:  # it went into one, and removed it
        return False


def _specs(source: str, loaded: Any) -> Iterable[tuple[str, AgentSpec]]:
    """The agents in a module (only those written there), or the one agent an entry point names."""
    if isinstance(loaded, ModuleType):
        members = [value for value in vars(loaded).values() if getattr(value, "__module__", "") == loaded.__name__]
    else:
        members = [loaded]
    specs = [spec for spec in (getattr(member, "agent_spec", None) for member in members) if spec is not None]
    if not specs:
        raise CatalogueError(f"{source}: no function with the @agent decorator found there")
    return [(source, spec) for spec in specs]


def _place(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def main() -> int:
    """Write every agent's card to the database; the exit code is 1 when an agent cannot be used."""
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
