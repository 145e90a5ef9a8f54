"""Makes the var directory and our files in it private to the user, at the start of each process.

It has the database, the embedded server's socket and the signing key. Neither the umask nor the directory's earlier mode
may open them to other users.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from swallowtail.app.core.errors import SettingsError

#: What we put there, beside the database and what SQLite keeps next to it. The key is not among them: one that others
#: could read is refused instead (`core/security/signing_keys`).
_OURS = ("swallowtail.db*", "redis.*", "up.lock", "*.log", "metrics", "metrics/**/*")


def open_private(var: Path) -> list[str]:
    """Make the var directory if need be, and have it and all of ours in it closed to others.

    Returns a sentence about each thing that stays open to others, for the start to tell. Raises SettingsError when the
    directory cannot be made.
    """
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise SettingsError(f"SWALLOWTAIL_VAR_DIR: {var} cannot be made: {fault.strerror}") from None
    if var == Path(var.anchor) or var == Path.home() or var.stat().st_mode & stat.S_ISVTX:
        return [f"{var} is not Swallowtail's alone, and stays as it is: give it a directory (SWALLOWTAIL_VAR_DIR)"]
    return [told for path in (var, *_list_ours(var)) if (told := _close(path)) is not None]


def make_private(path: Path) -> None:
    """Make a file that only this user can read, unless one is there; SQLite gives its other files the same mode.

    Under its own name it is never opened: closing it would end every lock that this process has on it (POSIX), and with
    them what keeps other processes from deleting the WAL under our connections. Raises OSError when it cannot be made.
    """
    path = Path(os.path.realpath(path))
    if path.exists():
        return
    file, draft = tempfile.mkstemp(prefix=f"{path.name}-", dir=path.parent)
    os.close(file)
    try:
        os.link(draft, path)
    except FileExistsError:
        # Another connection was first.
        pass
    finally:
        os.unlink(draft)


def _list_ours(var: Path) -> Iterator[Path]:
    for pattern in _OURS:
        yield from var.glob(pattern)


def _close(path: Path) -> str | None:
    """Take everybody else's rights to a file or directory away; returns why that could not be done."""
    try:
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            return _look_behind(path)
        if mode & 0o077:
            path.chmod(mode & 0o700)
            # Some file systems take a mode and keep their own.
            if stat.S_IMODE(path.lstat().st_mode) & 0o077:
                return f"others can reach {path}: its file system keeps no modes"
        is_ours = status.st_uid == os.geteuid()
        return None if is_ours else f"{path} belongs to another user, who can reach it whatever its mode is"
    except FileNotFoundError:
        # A temporary file of another process.
        return None
    except OSError as fault:
        return f"others can reach {path}, which cannot be changed: {fault.strerror}"


def _look_behind(link: Path) -> str | None:
    """Tell of what a link leads to, which is not ours to change: another user may have put the link there."""
    there = link.stat()
    if there.st_uid == os.geteuid() and not stat.S_IMODE(there.st_mode) & 0o077:
        return None
    return f"others can reach what {link} leads to, {os.path.realpath(link)}"
