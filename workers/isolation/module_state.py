"""Reads and restores the loaded modules, patched functions and event loops, for `process_state`."""

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

#: Standard modules whose functions are patched for the whole process, for example by `monkey.patch_all()`.
_PATCHED = (builtins, json, os, select, socket, ssl, subprocess, threading, time)
#: Names that `process_state` restores with their own functions.
_SET = frozenset({"_profile_hook", "_trace_hook", "excepthook"})


def read_modules() -> tuple[dict[str, ModuleType], dict[str, ModuleType]]:
    """Return the dictionary of loaded modules and a copy of it."""
    return sys.modules, dict(sys.modules)


def restore_modules(before: tuple[dict[str, ModuleType], dict[str, ModuleType]]) -> None:
    """Restore modules that were removed or replaced; modules imported since then stay."""
    sys.modules, modules = before
    for name, module in modules.items():
        if sys.modules.get(name) is not module:
            sys.modules[name] = module


def read_functions() -> list[tuple[ModuleType, dict[str, Any]]]:
    """Return the contents of each module."""
    return [(module, dict(vars(module))) for module in _PATCHED]


def restore_functions(before: list[tuple[ModuleType, dict[str, Any]]]) -> list[str]:
    """Restore patched functions; return their names."""
    patched = []
    for module, content in before:
        now = vars(module)
        for name, value in content.items():
            if now.get(name) is not value and callable(value) and name not in _SET:
                setattr(module, name, value)
                patched.append(f"{module.__name__}.{name}")
    return patched


def read_loops() -> Any:
    """Return the event loop policy and its state for this thread."""
    policy = asyncio.events._event_loop_policy  # type: ignore[attr-defined]
    return policy, dict(vars(policy._local)) if hasattr(policy, "_local") else None


def restore_loops(before: Any) -> None:
    """Restore both: after `asyncio.run` a thread would get no loop any more."""
    policy, state = before
    asyncio.events._event_loop_policy = policy  # type: ignore[attr-defined]
    if state is not None:
        vars(policy._local).clear()
        vars(policy._local).update(state)
