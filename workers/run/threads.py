"""Threads that know where they come from: each runs in the context of whoever started it. Beside `workers/run/open_steps`.

Python's own do from 3.14 on, where that is asked for (`-X thread_inherit_context`). Here it is what tells a thread's
streamed text, and its log lines, from those of other steps.
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


def carry_context() -> None:
    """Have this process's threads, and what is given to its thread pools, inherit contexts from now on."""
    threading.Thread.start = _start_here  # type: ignore[method-assign,assignment]
    ThreadPoolExecutor.submit = _submit_here  # type: ignore[method-assign,assignment]


def leave_alone() -> None:
    """Undo that."""
    threading.Thread.start = _start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]


def _start_here(thread: threading.Thread) -> None:
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


def _submit_here(pool: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
    return _submit(pool, contextvars.copy_context().run, fn, *args, **named)
