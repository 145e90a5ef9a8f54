"""Finds the services of this machine, and skips or fails tests whose service is missing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

#: Where Debian and others keep programs that are not on the usual PATH.
PLACES = {
    "postgres": [
        "/usr/lib/postgresql/*/bin/postgres",
        "/usr/pgsql-*/bin/postgres",
        "/opt/homebrew/opt/postgresql*/bin/postgres",
    ],
    "initdb": [
        "/usr/lib/postgresql/*/bin/initdb",
        "/usr/pgsql-*/bin/initdb",
        "/opt/homebrew/opt/postgresql*/bin/initdb",
    ],
    "nginx": ["/usr/sbin/nginx"],
    "pgbouncer": ["/usr/sbin/pgbouncer"],
    "rabbitmq-server": ["/usr/lib/rabbitmq/bin/rabbitmq-server"],
    "rabbitmqctl": ["/usr/lib/rabbitmq/bin/rabbitmqctl"],
    "epmd": ["/usr/lib/erlang/bin/epmd", "/usr/lib/erlang/erts-*/bin/epmd"],
}


def find(program: str) -> str | None:
    """The path of a program, from its usual places or PATH; None if this machine lacks it."""
    for pattern in PLACES.get(program, []):
        paths = sorted(Path("/").glob(pattern.lstrip("/")))
        if paths:
            return str(paths[-1])
    # Node.js may have been installed into the virtual environment.
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))


def require(*programs: str) -> str:
    """The path of the first program this machine has. Without any: skips the test, or fails it when CI is set."""
    for program in programs:
        path = find(program)
        if path is not None:
            return path
    missing = f"this machine has no {' or '.join(programs)}"
    if os.environ.get("CI"):
        pytest.fail(f"{missing}, and in CI a missing service is a failure", pytrace=False)
    pytest.skip(missing)
