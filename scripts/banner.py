"""Waits until the web process answers, and composes the message that `scripts/up` shows then.

Its commands work as typed in a second terminal in the same folder: they name this environment's `swallowtail`, and the
settings that only this process's environment has.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from importlib.util import find_spec

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.command_name import find_command
from swallowtail.extras import MODULES

#: What the sign-in page has as long as there is no user.
NO_USER = b'id="first-user"'
#: What `/readyz` has as long as there is no worker.
NO_WORKER = b'"workers":{"status":"degraded"'
#: Variables that say where the data are, which a command of the operator needs; and those of the address.
DATA, ADDRESS = ("SWALLOWTAIL_VAR_DIR", "SWALLOWTAIL_DEMO_INSTANCE"), ("SWALLOWTAIL_HOST", "SWALLOWTAIL_PORT", "PORT")


async def wait_for_answer(settings: Settings, path: str, pause: float = 0.05) -> None:
    """Wait until a GET of `path` answers 200."""
    while await _get(settings, path) is None:
        await asyncio.sleep(pause)


async def wait_for_worker(settings: Settings, longest: float = 20.0, pause: float = 0.2) -> None:
    """Wait until a worker has announced itself, so that a first task starts at once; `longest` seconds at most."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(longest):
            while NO_WORKER in (await _get(settings, "/readyz") or b""):
                await asyncio.sleep(pause)


async def ready_message(settings: Settings) -> str:
    """Return the address, the demo instance and what to do first."""
    is_new = not settings.is_open and NO_USER in (await _get(settings, "/login") or b"")
    lines = [f"Swallowtail is ready at {address(settings)}"]
    if settings.demo_instance:
        lines.append(f"Demo instance: {settings.demo_instance}")
    if not settings.is_open:
        reason = ", ".join(f"SWALLOWTAIL_{name.upper()}" for name in settings.requiring_auth) or "SWALLOWTAIL_AUTH"
        lines.append(f"Callers must authenticate ({reason})" + (", and there is no user yet." if is_new else "."))
    lines += ["", "What to do first:" if is_new else "Try it:"]
    for number, thing in enumerate(_things_to_try(settings, is_new=is_new), start=1):
        lines.append(f"  {number}. {thing}")
    return "\n".join(["", *lines, "", "Ctrl-C stops everything.", ""])


def _things_to_try(settings: Settings, *, is_new: bool) -> list[str]:
    url, demo = address(settings), settings.demo_instance
    start = f"{url}/instances/{demo}/new?sample=1" if demo else url
    things = []
    if is_new:
        things.append(_create_first_user(settings))
    if settings.is_open:
        things.append(f"See agents work: submit the task at {start}")
        if demo:
            things.append(f"The same on the command line, in a second terminal:\n     {_enqueue(settings)}")
    else:
        things.append(f"See agents work: sign in and submit the task at {start}")
    return [*things, f"Read the REST API: {url}/api/docs"]


def _create_first_user(settings: Settings) -> str:
    owner = f", who owns the instance {settings.demo_instance}" if settings.demo_instance else ""
    # The URL of a database may contain its password, so it is not shown.
    where = " with the same SWALLOWTAIL_DATABASE_URL" if "SWALLOWTAIL_DATABASE_URL" in os.environ else ""
    settings_here = "".join(f"{name}={shlex.quote(os.environ[name])} " for name in DATA if name in os.environ)
    command = f"{settings_here}{find_command()} users create admin --superuser"
    return f"Create the first user{owner}, in a second terminal{where} (it asks for a password):\n     {command}"


def _enqueue(settings: Settings) -> str:
    """Return the command that submits the sample of the team, or else of `echo`, and shows the events."""
    has_team = all(find_spec(module) for module in MODULES["campaign"].split())
    kind = "social_campaign" if has_team else "echo"
    # The command reads the folder's settings, and not the environment of this process.
    url = f" --url {address(settings)}" if any(name in os.environ for name in ADDRESS) else ""
    return f"{find_command()} enqueue {kind} --instance {settings.demo_instance} --sample --follow{url}"


def address(settings: Settings) -> str:
    """Return the URL at which this machine reaches its web process."""
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


async def _get(settings: Settings, path: str) -> bytes | None:
    """Return the body of the answer to a GET if its status is 200, else None.

    Without an HTTP client: its import would take longer than the answer.
    """
    host = address(settings).removeprefix("http://").rpartition(":")[0].strip("[]")
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(host, settings.port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readuntil(b"\r\n")
                return await reader.read(-1) if status.split()[1:2] == [b"200"] else None
            finally:
                writer.close()
    return None
