"""The command lines of the built-in processes, which `swallowtail up` runs and each process command executes."""

from __future__ import annotations

import shlex
import signal

from swallowtail.app.core.process.python_command import python_command

#: The module of each process, and its first arguments, in the order of the Procfile.
MODULES = {
    "release": ("swallowtail.workers.release",),
    "redis": ("swallowtail.scripts.processes.embedded_redis",),
    "web": ("swallowtail.app.wsgi",),
    "worker": ("swallowtail.workers.program", "worker"),
    "beat": ("swallowtail.workers.program", "beat"),
}
#: The supervisors' modules.
UP, DEV = "swallowtail.scripts.processes.up", "swallowtail.scripts.processes.dev"
#: The signal that makes a waiting worker begin.
START = signal.SIGUSR1


def command_line(name: str, *arguments: str) -> list[str]:
    """Return the command line of a built-in process with this Python."""
    return python_command(*MODULES[name], *arguments)


def builtin_commands() -> dict[str, str]:
    """Return the commands of all built-in processes by name, as a Procfile has them."""
    return {name: shlex.join(command_line(name)) for name in MODULES}
