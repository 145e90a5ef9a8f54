"""Agents for tests only, loaded by `SWALLOWTAIL_AGENTS=tests.harness.tasks.agents`."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from swallowtail.context import Context
from swallowtail.workers.registry.declaration import agent
from swallowtail.workers.run.outcomes import WorkerStopping

NAP = 0.02
ODD: contextvars.ContextVar[str | None] = contextvars.ContextVar("odd", default=None)


class PausedInput(BaseModel):
    """The file that ends the step, and how the step behaves until then."""

    model_config = ConfigDict(extra="forbid")

    path: str
    #: `asks`: calls check() as it should; `blocks`: sleeps in one piece; `unresponsive`: swallows every interrupt;
    #: `tidies`: sleeps in one piece, and returns what it has when its worker stops.
    manner: str = "asks"


@agent(kind="paused", title="Paused", input=PausedInput)
def paused(ctx: Context, task_input: PausedInput) -> dict[str, int]:
    """Three steps; the second ends when a file appears."""
    ctx.step("first", lambda: 1, agent="Paused", action="open", progress=10)
    ctx.step("wait", wait, ctx, task_input, agent="Paused", action="wait")
    ctx.step("last", lambda: 3, agent="Paused", action="close")
    return {"attempt": ctx.attempt}


def wait(ctx: Context, task_input: PausedInput) -> str:
    """Return once the file is there."""
    while not Path(task_input.path).exists():
        if task_input.manner == "asks":
            ctx.check()
            time.sleep(NAP)
        elif task_input.manner == "blocks":
            time.sleep(3600)
        elif task_input.manner == "tidies":
            try:
                time.sleep(3600)
            except WorkerStopping:
                return "tidied up"
        else:
            _sleep_unresponsive()
    return "open"


def _sleep_unresponsive() -> None:
    until = time.monotonic() + 3600
    while time.monotonic() < until:
        with contextlib.suppress(BaseException):  # an agent that cannot be interrupted
            time.sleep(3600)


class ThingInput(BaseModel):
    """Which odd thing to do."""

    model_config = ConfigDict(extra="forbid")

    thing: str


@agent(kind="odd", title="Odd", input=ThingInput)
def odd(ctx: Context, task_input: ThingInput) -> Any:
    """Does what agents should not do."""
    if task_input.thing == "raise outside":
        raise LookupError("outside of any step")
    if task_input.thing == "exit outside":
        sys.exit(7)
    if task_input.thing.startswith("hold "):
        # A function of a C library that does not let go of the interpreter, so that no other thread of it runs.
        seconds = int(task_input.thing.removeprefix("hold "))
        return ctx.step("hold", ctypes.PyDLL(None).sleep, seconds, agent="Odd", action="hold")
    if task_input.thing == "change":
        return ctx.step("change", _change)
    if task_input.thing == "look":
        return ctx.step("look", _look)
    if task_input.thing == "look for a thread":
        return ctx.step("look", _threads)
    if task_input.thing == "leave a thread":
        return ctx.step("leave", _leave_thread)
    if task_input.thing == "processes":
        return ctx.step("count", _count_in_processes)
    if task_input.thing == "memory":
        return ctx.step("eat", lambda: len(bytearray(1 << 62)), agent="Odd", action="eat", tries=1)
    if task_input.thing == "not json":
        return ctx.step("make", object, agent="Odd", action="make")
    if task_input.thing == "too large":
        return ctx.step("make", lambda: "x" * 2_000_000, agent="Odd", action="make")
    if task_input.thing == "too large outside":
        return "x" * 2_000_000
    if task_input.thing == "swallow":
        try:
            ctx.step("fail", _fail, agent="Odd", action="fail", tries=1)
        except BaseException:
            return "swallowed"
    return ctx.step("twice", lambda: 1) + ctx.step("twice", lambda: 2)


def _change() -> list[Any]:
    os.chdir("/")
    os.environ["ODD"] = "changed"
    sys.setrecursionlimit(5000)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    ODD.set("changed")
    return _look()


def _look() -> list[Any]:
    is_ignored = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    shown = [os.getcwd(), os.environ.get("ODD"), sys.getrecursionlimit(), is_ignored]
    return [*shown, logging.root.manager.disable, ODD.get()]


def _leave_thread() -> list[Any]:
    threading.Thread(target=time.sleep, args=[3600], name="left behind").start()
    return _threads()


def _threads() -> list[Any]:
    """This process, and whether it has the thread of another run."""
    return [os.getpid(), any(thread.name == "left behind" for thread in threading.enumerate())]


def _count_in_processes() -> list[int]:
    with multiprocessing.Pool(1) as pool:
        counts = pool.map(len, ["a", "bb"])
    with ProcessPoolExecutor(1) as executor:
        return [*counts, executor.submit(len, "ccc").result()]


def _fail() -> None:
    raise LookupError("inside a step")
