"""The command line that runs a module with this Python."""

from __future__ import annotations

import sys


def python_command(module: str, *arguments: str) -> list[str]:
    """Return the command line of a module of ours.

    `-P` keeps the current folder off the path while the libraries are imported: a project's own `redis.py` does not
    replace them. `workers/registry/project_folder` adds the folder before it imports agents.
    """
    return [sys.executable, "-P", "-m", module, *arguments]
