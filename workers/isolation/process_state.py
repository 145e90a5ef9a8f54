"""What an agent may change for its whole process: how each thing is read, and how it is put back. Below `surroundings`.

What a module holds that an agent patches is not among it, but for the few names that programs are used to patch.
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


class Stuck(Exception):
    """Something cannot be put back: only another process is without it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing of the process; `put_back` gets what `take` gave before, and raises when that is not to be had."""

    name: str
    take: Callable[[], Any]
    put_back: Callable[[Any], object]


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return "/"


def _umask() -> int:
    before = os.umask(0o077)
    os.umask(before)
    return before


def _environment() -> tuple[Any, dict[str, str]]:
    return os.environ, dict(os.environ)


def _put_environment(before: tuple[Any, dict[str, str]]) -> None:
    # Somebody may have put a dictionary of their own there.
    os.environ, known = before
    # Only what differs: other threads read it meanwhile, and what `os.unsetenv` hides from programs stays hidden.
    for name in os.environ.keys() - known.keys():
        del os.environ[name]
    for name, value in known.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    time.tzset()


def _collector() -> Any:
    return gc.isenabled(), gc.get_threshold(), gc.get_debug()


def _put_collector(before: Any) -> None:
    collects, thresholds, flags = before
    (gc.enable if collects else gc.disable)()
    gc.set_threshold(*thresholds)
    gc.set_debug(flags)


def _hooks() -> Any:
    traces = sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()
    return traces, (sys.excepthook, sys.unraisablehook, threading.excepthook)


def _put_hooks(before: Any) -> None:
    (trace, profile, threads_trace, threads_profile), hooks = before
    sys.settrace(trace)
    sys.setprofile(profile)
    threading.settrace(threads_trace)
    threading.setprofile(threads_profile)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks


def _lists() -> list[tuple[list[Any], list[Any]]]:
    return [(each, list(each)) for each in (sys.path, sys.argv, sys.meta_path, sys.path_hooks, gc.callbacks)]


def _put_lists(before: list[tuple[list[Any], list[Any]]]) -> None:
    finders = [list(sys.meta_path), list(sys.path_hooks)]
    sys.path, sys.argv, sys.meta_path, sys.path_hooks, gc.callbacks = [each for each, _ in before]
    changed = finders != [before[2][1], before[3][1]]
    for each, items in before:
        each[:] = items
    if changed:
        # A module that adds a finder does so once, when it is imported, and may rely on it.
        raise Stuck("finders of modules were changed")


_SIGNALS = sorted(signal.valid_signals())
#: Past what makes enums of its answers, which takes ten times as long.
_handler: Callable[[int], Any] = getattr(signal.getsignal, "__wrapped__", signal.getsignal)
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


def _signals() -> Any:
    handlers = {number: _handler(number) for number in _SIGNALS}
    waker = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(waker)
    return handlers, waker, signal.pthread_sigmask(signal.SIG_BLOCK, []), [signal.getitimer(each) for each in _TIMERS]


def _put_signals(before: Any) -> None:
    handlers, waker, mask, timers = before
    for which, timer in zip(_TIMERS, timers, strict=True):
        signal.setitimer(which, *timer)
    for number, handler in handlers.items():
        # None is a handler that was not put there by Python: nobody can put it back.
        if handler is not None and _handler(number) is not handler:
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, handler)
    signal.set_wakeup_fd(waker)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


#: Names of modules that programs are used to set for the whole process.
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


def _names() -> list[Any]:
    return [getattr(module, name, None) for module, name in _NAMES]


def _put_names(before: list[Any]) -> None:
    for (module, name), value in zip(_NAMES, before, strict=True):
        setattr(module, name, value)


def _put_functions(before: Any) -> None:
    patched = module_state.put_functions(before)
    if patched:
        # Who patches these patches what belongs to them, too; and who did it by an import does it once.
        raise Stuck(f"patched: {', '.join(patched[:5])}")


def _put_descriptors(before: Any) -> None:
    closed = open_files.put_standard(before)
    if closed:
        raise Stuck(f"closed: {', '.join(closed)}")
    if open_files.are_too_many():
        raise Stuck("too many files are left open")


def _put_chance(_: object = None) -> None:
    # Not as it was: a child begins with what its parent had, and so do all the others.
    random.seed()
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def _put_watchers(before: tuple[bool, bool]) -> None:
    faulthandler.cancel_dump_traceback_later()
    if faulthandler.is_enabled() != before[0]:
        (faulthandler.enable if before[0] else faulthandler.disable)()
    if tracemalloc.is_tracing() and not before[1]:
        tracemalloc.stop()


def _limits() -> dict[int, tuple[int, int]]:
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {number: resource.getrlimit(number) for number in {getattr(resource, name) for name in names}}


def _put_limits(before: dict[int, tuple[int, int]]) -> None:
    for number, limit in before.items():
        if resource.getrlimit(number) != limit:
            resource.setrlimit(number, limit)


def _identity() -> Any:
    where = os.getpgid(0), os.getsid(0)
    return _users(), os.getgroups(), where, os.getpriority(os.PRIO_PROCESS, 0), _processors()


def _users() -> Any:
    # macOS does not tell the saved ones.
    if hasattr(os, "getresuid"):
        return os.getresuid(), os.getresgid()
    return os.getuid(), os.geteuid(), os.getgid(), os.getegid()


def _processors() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _put_identity(before: Any) -> None:
    if before[-1] != _processors():
        os.sched_setaffinity(0, before[-1])
    if _identity() != before:
        raise Stuck


#: In this order: what may be in the way of the rest comes first.
TABLE: tuple[Kept, ...] = (
    Kept("files", open_files.take_standard, _put_descriptors),
    Kept("modules", module_state.take_modules, module_state.put_modules),
    Kept("functions", module_state.take_functions, _put_functions),
    Kept("hooks", _hooks, _put_hooks),
    Kept("signals", _signals, _put_signals),
    Kept("limits", _limits, _put_limits),
    Kept("identity", _identity, _put_identity),
    Kept("directory", _directory, os.chdir),
    Kept("umask", _umask, os.umask),
    Kept("environment", _environment, _put_environment),
    Kept("locale", lambda: locale.setlocale(locale.LC_ALL), lambda before: locale.setlocale(locale.LC_ALL, before)),
    Kept("recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    Kept("switching", sys.getswitchinterval, sys.setswitchinterval),
    Kept("digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    Kept("stacks", threading.stack_size, threading.stack_size),
    Kept("collector", _collector, _put_collector),
    Kept("lists", _lists, _put_lists),
    Kept("streams", lambda: (sys.stdin, sys.stdout, sys.stderr), lambda before: _put_streams(*before)),
    Kept("arithmetic", lambda: decimal.getcontext().copy(), lambda before: decimal.setcontext(before.copy())),
    Kept("sockets", socket.getdefaulttimeout, socket.setdefaulttimeout),
    Kept("fields", csv.field_size_limit, csv.field_size_limit),
    Kept("names", _names, _put_names),
    Kept("event loops", module_state.take_loops, module_state.put_loops),
    Kept("chance", _put_chance, _put_chance),
    Kept("watchers", lambda: (faulthandler.is_enabled(), tracemalloc.is_tracing()), _put_watchers),
    Kept(
        "beginning of processes",
        lambda: multiprocessing.get_start_method(allow_none=True),
        lambda before: multiprocessing.set_start_method(before, force=True),
    ),
    Kept("logging", logging_state.take, logging_state.put_back),
)


def _put_streams(given: Any, out: Any, errors: Any) -> None:
    sys.stdin, sys.stdout, sys.stderr = given, out, errors
