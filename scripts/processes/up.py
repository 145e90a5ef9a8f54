"""Runs every process on this machine until Ctrl-C: `swallowtail up`.

The settings, `.env`, `var` and the agents are those of the current folder.
"""

from __future__ import annotations

from swallowtail.app.core.process.early_interrupt import accept_interrupt

if __name__ == "__main__":
    accept_interrupt()

# isort: split

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.logs.unlogged_output import Arguments, begin
from swallowtail.app.core.process.quick_exit import skip_last_collection
from swallowtail.scripts.processes.command_lines import builtin_commands
from swallowtail.scripts.processes.embedded_redis import prepare_directory
from swallowtail.scripts.processes.free_ports import is_free
from swallowtail.scripts.processes.lock import LockHeld, acquire_lock
from swallowtail.scripts.processes.procfile import check_programs, read_procfile
from swallowtail.scripts.processes.supervisor import Supervisor, make_environment


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until Ctrl-C."""
    run("swallowtail up", "Run Swallowtail on this machine until Ctrl-C.", Supervisor, arguments)


def run(program: str, description: str, supervisor: type[Supervisor], arguments: Sequence[str] | None) -> None:
    """Check settings, lock and port, then supervise, and exit."""
    begin()
    skip_last_collection()
    parser = Arguments(prog=program, description=description)
    parser.add_argument("--procfile", metavar="FILE", type=Path, help="run the processes of this file instead")
    options = parser.parse_args(arguments)
    try:
        commands = builtin_commands() if options.procfile is None else read_commands(options.procfile)
        settings = load_settings()
        hold_lock(settings)
        check_port(settings)
    except SettingsError as wrong:
        sys.exit(f"{program}: {wrong.message}")
    sys.exit(asyncio.run(_supervise(supervisor, settings, commands)))


def read_commands(procfile: Path) -> dict[str, str]:
    """Return the commands of a Procfile whose programs can all be executed. Raises SettingsError."""
    commands = read_procfile(procfile)
    check_programs(procfile, commands, make_environment()["PATH"])
    return commands


async def _supervise(supervisor: type[Supervisor], settings: Settings, commands: dict[str, str]) -> int:
    return await supervisor(settings, commands).run()


def hold_lock(settings: Settings) -> None:
    """Hold the lock of the var directory until this process ends. Raises SettingsError if another has it."""
    try:
        acquire_lock(prepare_directory(settings.var) / "up.lock")
    except LockHeld as held:
        raise SettingsError(
            f"Swallowtail already runs on {settings.var} (process {held.holder}). "
            "Stop it first, or set SWALLOWTAIL_VAR_DIR."
        ) from None


def check_port(settings: Settings) -> None:
    """Raise SettingsError if the port of the web process is taken."""
    if settings.port and not is_free(settings.port):
        raise SettingsError(f"port {settings.port} is used by another program. Set SWALLOWTAIL_PORT to a free one.")


if __name__ == "__main__":
    main()
