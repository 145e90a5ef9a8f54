"""Modules as an agent finds them: which there are, and the functions patched in them. Below `process_state`."""

from __future__ import annotations

import asyncio
import builtins
import json
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
from types import ModuleType
from typing import Any

#: Modules of Python's whose functions and classes are patched for the whole process, such as by `monkey.patch_all()`.
_PATCHED = (builtins, json, os, select, socket, ssl, subprocess, threading, time)
#: Set by functions of their own, in `process_state`.
_SET = frozenset({"_profile_hook", "_trace_hook", "excepthook"})


def take_modules() -> tuple[dict[str, ModuleType], dict[str, ModuleType]]:
    """Return the table of modules, and what is in it."""
    return sys.modules, dict(sys.modules)


def put_modules(before: tuple[dict[str, ModuleType], dict[str, ModuleType]]) -> None:
    """Put back what was removed or replaced; what was imported meanwhile stays."""
    sys.modules, known = before
    for name, module in known.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module


def take_functions() -> list[tuple[ModuleType, dict[str, Any]]]:
    """Return what can be called of each module."""
    return [(module, dict(vars(module))) for module in _PATCHED]


def put_functions(before: list[tuple[ModuleType, dict[str, Any]]]) -> list[str]:
    """Put back what was patched; return the names of it."""
    patched = []
    for module, known in before:
        now = vars(module)
        for name, value in known.items():
            if now.get(name) is not value and callable(value) and name not in _SET:
                setattr(module, name, value)
                patched.append(f"{module.__name__}.{name}")
    return patched


def take_loops() -> Any:
    """Return what decides which event loop a thread gets: the policy, and what it knows of this thread."""
    policy = asyncio.events._event_loop_policy  # type: ignore[attr-defined]
    return policy, dict(vars(policy._local)) if hasattr(policy, "_local") else None


def put_loops(before: Any) -> None:
    """Put it back: after `asyncio.run` a thread would get no loop any more."""
    policy, known = before
    asyncio.events._event_loop_policy = policy  # type: ignore[attr-defined]
    if known is not None:
        vars(policy._local).clear()
        vars(policy._local).update(known)
