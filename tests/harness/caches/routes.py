"""Compiles the routes of Flask once, for the hundreds of applications that tests create."""

from __future__ import annotations

from typing import Any

from werkzeug.routing import Rule


def compile_routes_once() -> None:
    """Have werkzeug keep what it compiles of a rule: half of the time that an application takes to make.

    The code depends on what stands in the key only; it gets the rule as an argument.
    """
    compile_builder: Any = getattr(Rule, "_compile_builder", None)
    builders: dict[object, Any] = {}

    def compile_once(rule: Any, append_unknown: bool = True) -> Any:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = (rule.rule, repr(rule._trace), append_unknown)
        if key not in builders:
            builders[key] = compile_builder(rule, append_unknown)
        return builders[key]

    if compile_builder is not None:
        Rule._compile_builder = compile_once  # type: ignore[assignment,method-assign]
