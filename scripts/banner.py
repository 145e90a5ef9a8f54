"""Waits until the web process answers, and composes the message that `scripts/up` shows then."""

from __future__ import annotations

import asyncio
import contextlib

from swallowtail.app.core.config.settings import Settings


async def wait_for_answer(settings: Settings, path: str, pause: float = 0.05) -> None:
    """Wait until a GET of `path` answers 200."""
    while not await _get(settings, path):
        await asyncio.sleep(pause)


def ready_message(settings: Settings) -> str:
    """Return the address, the demo instance and three things to try."""
    url = address(settings)
    demo = settings.demo_instance or "INSTANCE"
    return f"""
Swallowtail is ready at {url}
Demo instance: {demo}{_describe_authentication(settings)}

Three things to try:
  1. Open {url}/instances/{demo} in two windows and submit a task: both show its events.
  2. Submit a task on the command line:
     .venv/bin/swallowtail enqueue social_campaign --instance {demo} --input examples/brief.md --follow
  3. Read the REST API: {url}/api/docs

Ctrl-C stops everything.
"""


def address(settings: Settings) -> str:
    """Return the URL at which this machine reaches its web process."""
    host = "127.0.0.1" if settings.host in ("", "0.0.0.0", "::") else settings.host  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _describe_authentication(settings: Settings) -> str:
    if settings.is_open:
        return ""
    reason = ", ".join(f"SWALLOWTAIL_{name.upper()}" for name in settings.requiring_auth) or "SWALLOWTAIL_AUTH"
    return f"\nCallers must authenticate ({reason}): docs/access.md shows how to create the first user."


async def _get(settings: Settings, path: str) -> bool:
    """Return whether a GET answers 200, without an HTTP client: its import would take longer than the answer."""
    host = address(settings).removeprefix("http://").rpartition(":")[0].strip("[]")
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(10):
            reader, writer = await asyncio.open_connection(host, settings.port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                status = await reader.readuntil(b"\r\n")
                return status.split()[1:2] == [b"200"]
            finally:
                writer.close()
    return False
