"""Lets threads inherit the context variables of the code that starts them.

A thread's streamed text and its log lines then belong to the step that started it. Python 3.14 does the same with
`-X thread_inherit_context`.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from swallowtail.app.core.logs.unlogged_output import ending_lines

_start, _submit = threading.Thread.start, ThreadPoolExecutor.submit


def inherit_context() -> None:
    """Let new threads, and functions submitted to thread pools, inherit the context from now on."""
    threading.Thread.start = _start_inheriting  # type: ignore[method-assign,assignment]
    ThreadPoolExecutor.submit = _submit_inheriting  # type: ignore[method-assign,assignment]


def restore() -> None:
    """Undo `inherit_context`."""
    threading.Thread.start = _start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]


def _start_inheriting(thread: threading.Thread) -> None:
    run = thread.run
    thread.run = functools.partial(contextvars.copy_context().run, _run, run)  # type: ignore[method-assign]
    try:
        _start(thread)
    except BaseException:
        thread.run = run  # type: ignore[method-assign]
        raise


def _run(run: Callable[[], object]) -> None:
    with ending_lines():
        run()


def _submit_inheriting(pool: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
    return _submit(pool, contextvars.copy_context().run, fn, *args, **named)
