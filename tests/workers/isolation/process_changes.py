"""Changes that an agent can make to its process, each with a function that reads the changed state."""

from __future__ import annotations

import asyncio
import builtins
import csv
import decimal
import faulthandler
import gc
import json
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import tracemalloc
import urllib.request
import warnings
from collections.abc import Callable

import structlog


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def set_precision() -> None:
    decimal.getcontext().prec = 3


def set_zone() -> None:
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()


def lower_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))


def lower_core() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (1 if soft == 0 else 0, hard))


def level_of(name: str) -> Callable[[], object]:
    return lambda: logging.getLogger(name).level


def set_dump() -> None:
    faulthandler.enable(sys.__stderr__ or sys.stderr)


def has_loop() -> bool:
    """Return whether the current thread gets an event loop, as in a new process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            asyncio.get_event_loop().close()
        except RuntimeError:
            return False
        finally:
            asyncio.set_event_loop_policy(None)
    return True


def set_policy_and_run() -> None:
    asyncio.run(asyncio.sleep(0))


def has_own_loop() -> bool:
    """Return the same after a policy was set before the run."""
    policy = asyncio.get_event_loop_policy()
    return not policy._local._set_called  # type: ignore[attr-defined]


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    "directory": (lambda: os.chdir("/"), os.getcwd),
    "umask": (lambda: os.umask(0o007), current_umask),
    "new variable": (lambda: os.environ.update(ODD="1"), lambda: dict(os.environ)),
    "lost variable": (lambda: os.environ.pop("PATH"), lambda: dict(os.environ)),
    "time zone": (set_zone, lambda: time.localtime(0).tm_hour),
    "locale": (lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"), lambda: locale.setlocale(locale.LC_ALL)),
    "recursion": (lambda: sys.setrecursionlimit(5000), sys.getrecursionlimit),
    "collection": (gc.disable, gc.isenabled),
    "path": (lambda: sys.path.insert(0, "/odd"), lambda: list(sys.path)),
    "output": (lambda: setattr(sys, "stdout", sys.stderr), lambda: sys.stdout),
    "ignored signal": (
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGTERM),
    ),
    "handled signal": (
        lambda: signal.signal(signal.SIGUSR2, lambda *_: None),
        lambda: signal.getsignal(signal.SIGUSR2),
    ),
    "blocked signal": (
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP]),
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, []),
    ),
    "alarm": (lambda: signal.alarm(3600), lambda: signal.getitimer(signal.ITIMER_REAL)[0] < 1000),
    "precision": (set_precision, lambda: decimal.getcontext().prec),
    "warnings": (lambda: warnings.simplefilter("error"), lambda: list(warnings.filters)),
    "timeout": (lambda: socket.setdefaulttimeout(1.5), socket.getdefaulttimeout),
    "soft limit": (lower_limit, lambda: resource.getrlimit(resource.RLIMIT_NOFILE)),
    "core limit": (lower_core, lambda: resource.getrlimit(resource.RLIMIT_CORE)),
    "root level": (lambda: logging.root.setLevel(1), lambda: logging.root.level),
    "logger level": (lambda: logging.getLogger("swallowtail.test").setLevel(1), level_of("swallowtail.test")),
    "new logger": (lambda: logging.getLogger("swallowtail.new").setLevel(1), level_of("swallowtail.new")),
    "disabled levels": (lambda: logging.disable(logging.CRITICAL), lambda: logging.root.manager.disable),
    "silent logger": (
        lambda: setattr(logging.getLogger("swallowtail.test"), "disabled", True),
        lambda: logging.getLogger("swallowtail.test").disabled,
    ),
    "handler": (lambda: logging.root.addHandler(logging.StreamHandler()), lambda: list(logging.root.handlers)),
    "no handlers": (logging.root.handlers.clear, lambda: list(logging.root.handlers)),
    "structlog": (lambda: structlog.configure(processors=[]), lambda: structlog.get_config()["processors"]),
    "arguments": (lambda: sys.argv.append("odd"), lambda: list(sys.argv)),
    "other path": (lambda: setattr(sys, "path", []), lambda: list(sys.path)),
    "trace": (lambda: sys.settrace(lambda *_: None), sys.gettrace),
    "profile": (lambda: sys.setprofile(lambda *_: None), sys.getprofile),
    "threads' trace": (lambda: threading.settrace(lambda *_: None), threading.gettrace),
    "hook": (lambda: setattr(sys, "excepthook", print), lambda: sys.excepthook),
    "threads' hook": (lambda: setattr(threading, "excepthook", print), lambda: threading.excepthook),
    "thresholds": (lambda: gc.set_threshold(1), gc.get_threshold),
    "digits": (lambda: sys.set_int_max_str_digits(0), sys.get_int_max_str_digits),
    "stacks": (lambda: threading.stack_size(1 << 20), lambda: threading.stack_size()),
    "fields": (lambda: csv.field_size_limit(1), lambda: csv.field_size_limit()),
    "dump": (lambda: faulthandler.disable() if faulthandler.is_enabled() else set_dump(), faulthandler.is_enabled),
    "memory trace": (tracemalloc.start, tracemalloc.is_tracing),
    "event loops": (lambda: asyncio.run(asyncio.sleep(0)), has_loop),
    "certificates": (
        lambda: setattr(ssl, "_create_default_https_context", ssl._create_unverified_context),
        lambda: ssl._create_default_https_context,
    ),
    "opener": (
        lambda: urllib.request.install_opener(urllib.request.build_opener()),
        lambda: urllib.request._opener,  # type: ignore[attr-defined]
    ),
    "temporary files": (lambda: setattr(tempfile, "tempdir", "/odd"), lambda: tempfile.tempdir),
    "beginning of processes": (
        lambda: multiprocessing.set_start_method("fork", force=True),
        lambda: multiprocessing.get_start_method(allow_none=True),
    ),
    "processors": (lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}), lambda: os.sched_getaffinity(0)),
    "replaced variables": (lambda: setattr(os, "environ", {"ODD": "1"}), lambda: os.environ),
    "standard file": (lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 1), lambda: os.fstat(1)[:3]),
    "closed file": (lambda: os.close(2), lambda: os.fstat(2)[:3]),
    "forgotten module": (lambda: sys.modules.pop("json"), lambda: sys.modules.get("json")),
    "replaced module": (lambda: sys.modules.update(json=sys), lambda: sys.modules["json"]),
    "other modules": (lambda: setattr(sys, "modules", {}), lambda: sys.modules),
    "finders": (sys.meta_path.clear, lambda: list(sys.meta_path)),
    "built-in function": (lambda: setattr(builtins, "print", repr), lambda: print),
    "clock": (lambda: setattr(time, "time", int), lambda: time.time),
    "sleep": (lambda: setattr(time, "sleep", print), lambda: time.sleep),
    "connections": (lambda: setattr(socket, "create_connection", print), lambda: socket.create_connection),
    "encoder": (lambda: setattr(json.JSONEncoder, "default", repr), lambda: json.JSONEncoder.default),
    "log records": (
        lambda: logging.setLogRecordFactory(lambda *_: logging.makeLogRecord({})),
        logging.getLogRecordFactory,
    ),
    "captured warnings": (lambda: logging.captureWarnings(True), lambda: logging._warnings_showwarning),  # type: ignore[attr-defined]
    "own event loops": (set_policy_and_run, has_own_loop),
    "warnings shown": (lambda: setattr(warnings, "showwarning", print), lambda: warnings.showwarning),
}
