"""Lists the process-wide state that an agent may change, with functions that read and restore each item.

Of the contents of modules, only a few names are covered that programs commonly patch.
"""

from __future__ import annotations

import contextlib
import csv
import decimal
import faulthandler
import gc
import http.client
import json
import locale
import logging
import multiprocessing
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import tracemalloc
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from swallowtail.workers.isolation import logging_state, module_state, open_files


class NotRestorable(Exception):
    """A change cannot be undone; the process has to be replaced."""


@dataclass(frozen=True, slots=True)
class StateItem:
    """One item of process-wide state. `restore` gets the value that `read` returned, and raises if it fails."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return "/"


def _umask() -> int:
    before = os.umask(0o077)
    os.umask(before)
    return before


def _restore_environment(before: tuple[Any, dict[str, str]]) -> None:
    # The agent may have replaced `os.environ` by a dictionary.
    os.environ, variables = before
    # Only differences: other threads read it meanwhile, and variables hidden by `os.unsetenv` stay hidden.
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    time.tzset()


def _restore_collector(before: Any) -> None:
    collects, thresholds, flags = before
    (gc.enable if collects else gc.disable)()
    gc.set_threshold(*thresholds)
    gc.set_debug(flags)


def _hooks() -> Any:
    traces = sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()
    return traces, (sys.excepthook, sys.unraisablehook, threading.excepthook)


def _restore_hooks(before: Any) -> None:
    (trace, profile, threads_trace, threads_profile), hooks = before
    sys.settrace(trace)
    sys.setprofile(profile)
    threading.settrace(threads_trace)
    threading.setprofile(threads_profile)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


def _lists() -> list[tuple[list[Any], list[Any]]]:
    return [(each, list(each)) for each in (sys.path, sys.argv, sys.meta_path, sys.path_hooks, gc.callbacks)]


def _restore_lists(before: list[tuple[list[Any], list[Any]]]) -> None:
    finders = [list(sys.meta_path), list(sys.path_hooks)]
    sys.path, sys.argv, sys.meta_path, sys.path_hooks, gc.callbacks = [each for each, _ in before]
    changed = finders != [before[2][1], before[3][1]]
    for each, items in before:
        each[:] = items
    if changed:
        # A module adds its finder only once, when it is imported, and may depend on it.
        raise NotRestorable("finders of modules were changed")


def _restore_streams(before: Any) -> None:
    sys.stdin, sys.stdout, sys.stderr = before


_SIGNALS = sorted(signal.valid_signals())
#: The function without its conversion to enums, which takes ten times as long.
_handler: Callable[[int], Any] = getattr(signal.getsignal, "__wrapped__", signal.getsignal)
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


def _signals() -> Any:
    handlers = {number: _handler(number) for number in _SIGNALS}
    wakeup_fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup_fd)
    return (
        handlers,
        wakeup_fd,
        signal.pthread_sigmask(signal.SIG_BLOCK, []),
        [signal.getitimer(each) for each in _TIMERS],
    )


def _restore_signals(before: Any) -> None:
    handlers, wakeup_fd, mask, timers = before
    for which, timer in zip(_TIMERS, timers, strict=True):
        signal.setitimer(which, *timer)
    for number, handler in handlers.items():
        # None is a handler that was not installed by Python and cannot be restored.
        if handler is not None and _handler(number) is not handler:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, handler)
    signal.set_wakeup_fd(wakeup_fd)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


#: Names that programs commonly set in modules for the whole process.
_NAMES: tuple[tuple[Any, str], ...] = (
    (urllib.request, "_opener"),
    (tempfile, "tempdir"),
    (json.JSONEncoder, "default"),
    (http.client.HTTPConnection, "debuglevel"),
    (logging, "_logRecordFactory"),
    (logging, "_loggerClass"),
    (logging, "_warnings_showwarning"),
    (logging, "raiseExceptions"),
)


def _restore_names(before: list[Any]) -> None:
    for (module, name), value in zip(_NAMES, before, strict=True):
        setattr(module, name, value)


def _restore_functions(before: Any) -> None:
    patched = module_state.restore_functions(before)
    if patched:
        # Related functions are probably patched too, and a patch on import is applied only once.
        raise NotRestorable(f"patched: {', '.join(patched[:5])}")


def _restore_descriptors(before: Any) -> None:
    closed = open_files.restore_standard(before)
    if closed:
        raise NotRestorable(f"closed: {', '.join(closed)}")
    if open_files.are_too_many():
        raise NotRestorable("too many files are left open")


def _reseed(_: object = None) -> None:
    # Not the earlier state: all children inherit the same state from their parent.
    random.seed()
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def _restore_debuggers(before: tuple[bool, bool]) -> None:
    faulthandler.cancel_dump_traceback_later()
    if faulthandler.is_enabled() != before[0]:
        (faulthandler.enable if before[0] else faulthandler.disable)()
    if tracemalloc.is_tracing() and not before[1]:
        tracemalloc.stop()


def _limits() -> dict[int, tuple[int, int]]:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {number: resource.getrlimit(number) for number in {getattr(resource, name) for name in names}}


def _restore_limits(before: dict[int, tuple[int, int]]) -> None:
    for number, limit in before.items():
        if resource.getrlimit(number) != limit:
            resource.setrlimit(number, limit)


def _identity() -> Any:
    where = os.getpgid(0), os.getsid(0)
    return _users(), os.getgroups(), where, os.getpriority(os.PRIO_PROCESS, 0), _processors()


def _users() -> Any:
    # macOS does not report the saved ids.
    if hasattr(os, "getresuid"):
        return os.getresuid(), os.getresgid()
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid()


def _processors() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _restore_identity(before: Any) -> None:
    if before[-1] != _processors():
        os.sched_setaffinity(0, before[-1])
    if _identity() != before:
        raise NotRestorable


#: Restored in this order: items that the others depend on come first.
TABLE: tuple[StateItem, ...] = (
    StateItem("files", open_files.read_standard, _restore_descriptors),
    StateItem("modules", module_state.read_modules, module_state.restore_modules),
    StateItem("functions", module_state.read_functions, _restore_functions),
    StateItem("hooks", _hooks, _restore_hooks),
    StateItem("signals", _signals, _restore_signals),
    StateItem("limits", _limits, _restore_limits),
    StateItem("identity", _identity, _restore_identity),
    StateItem("directory", _directory, os.chdir),
    StateItem("umask", _umask, os.umask),
    StateItem("environment", lambda: (os.environ, dict(os.environ)), _restore_environment),
    StateItem(
        "locale", lambda: locale.setlocale(locale.LC_ALL), lambda before: locale.setlocale(locale.LC_ALL, before)
    ),
    StateItem("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    StateItem("switch interval", sys.getswitchinterval, sys.setswitchinterval),
    StateItem("integer digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    StateItem("stack size", threading.stack_size, threading.stack_size),
    StateItem("garbage collector", lambda: (gc.isenabled(), gc.get_threshold(), gc.get_debug()), _restore_collector),
    StateItem("lists", _lists, _restore_lists),
    StateItem("streams", lambda: (sys.stdin, sys.stdout, sys.stderr), _restore_streams),
    StateItem("decimal context", lambda: decimal.getcontext().copy(), lambda before: decimal.setcontext(before.copy())),
    StateItem("socket timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
    StateItem("csv field size", csv.field_size_limit, csv.field_size_limit),
    StateItem("names", lambda: [getattr(module, name, None) for module, name in _NAMES], _restore_names),
    StateItem("event loops", module_state.read_loops, module_state.restore_loops),
    StateItem("random", _reseed, _reseed),
    StateItem("debuggers", lambda: (faulthandler.is_enabled(), tracemalloc.is_tracing()), _restore_debuggers),
    StateItem(
        "start method",
        lambda: multiprocessing.get_start_method(allow_none=True),
        lambda before: multiprocessing.set_start_method(before, force=True),
    ),
    StateItem("logging", logging_state.read, logging_state.restore),
)
