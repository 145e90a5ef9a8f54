"""Declares agents: the decorator `agent`, and what it records of a function.

It imports no library of the server: a package of agents needs the base installation only.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from swallowtail.app.core.errors import SwallowtailError
from swallowtail.context import Context
from swallowtail.workers.run.step_names import is_async

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


def _check(spec: AgentSpec) -> None:
    where = f"agent {spec.kind!r} ({qualified_name(spec.function)})"
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


def qualified_name(function: Callable[..., Any]) -> str:
    """Return the module and the name of an agent's function."""
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"
