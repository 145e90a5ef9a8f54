"""Validates the arguments of a step before any of its work is done."""

from __future__ import annotations

import functools
import inspect
import math
import unicodedata
from typing import Any

#: Invisible characters that words of Persian or Hindi, and some emoji, are written with.
_JOINERS = "\u200c\u200d"


def find_naming_error(key: Any, agent: Any, action: Any) -> str | None:
    """Return what is wrong with the names of a step, or None."""
    for name, value, longest in (("key", key, 200), ("agent", agent, 100), ("action", action, 100)):
        if not isinstance(value, str) or not value or len(value) > longest or not all(map(_is_printable, value)):
            return f"a step's {name} must be 1 to {longest} printable characters"
    return None


def find_work_error(fn: Any, progress: Any, tries: Any) -> str | None:
    """Return what is wrong with the work of a step, or None."""
    if not callable(fn):
        return "a step's fn must be a function"
    if is_async(fn):
        return "a step's fn must be an ordinary function; call a coroutine function by `lambda: asyncio.run(fn(…))`"
    if progress is not None and to_percent(progress) is None:
        return "a step's progress must be a number from 0 to 100"
    if tries is not None and (not isinstance(tries, int) or isinstance(tries, bool) or tries < 1):
        return "a step's tries must be a whole number from 1"
    return None


def to_percent(value: Any) -> float | None:
    """Return a percentage as a number from 0 to 100, or None if it is not a number."""
    if isinstance(value, str | bytes | bytearray):
        return None
    try:
        number = float(value)
    except Exception:  # a number class of a library may raise anything
        return None
    return None if math.isnan(number) else min(max(number, 0.0), 100.0)


def is_async(fn: Any) -> bool:
    """Return whether a call of `fn` only creates a coroutine or an asynchronous generator."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return callable(fn) and any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in (fn, type(fn).__call__)
    )


def _is_printable(character: str) -> bool:
    return character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs"
