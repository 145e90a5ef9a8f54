"""Makes the var directory and our files in it private to the user, at the start of each process.

The directory has the database, the embedded server's socket and the signing key. Neither the umask nor the earlier mode
may make them readable to other users.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from swallowtail.app.core.errors import SettingsError

#: Our files, with the database and SQLite's files beside it. Not the signing key: one that others could read is refused
#: (`core/security/signing_keys`).
_OWN_FILES = ("swallowtail.db*", "redis.*", "up.lock", "*.log", "metrics", "metrics/**/*")


def open_private(var: Path) -> list[str]:
    """Create the var directory if it is missing, and make it and our files in it private. Raises SettingsError.

    Returns a sentence about each path that other users can still read.
    """
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise SettingsError(f"SWALLOWTAIL_VAR_DIR: {var} cannot be created: {_explain(fault)}") from None
    if not os.access(var, os.W_OK | os.X_OK):
        raise SettingsError(
            f"SWALLOWTAIL_VAR_DIR: this user cannot write to {var}; permit it, or set another directory"
        )
    if var == Path(var.anchor) or var == _find_home() or var.stat().st_mode & stat.S_ISVTX:
        return [f"{var} has other uses and is left unchanged: set SWALLOWTAIL_VAR_DIR to a directory of its own"]
    return [problem for path in (var, *_list_own(var)) if (problem := _close(path)) is not None]


def _find_home() -> Path | None:
    """Return this user's home; None in a container whose user has none."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def make_private(path: Path) -> None:
    """Create a file that only this user can read, unless it exists; SQLite gives its other files the same mode.

    The file is never opened under its own name: closing it would release every lock of this process on it (POSIX), and
    another process could then delete the WAL that our connections use. Raises OSError.
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


def _explain(fault: OSError) -> str:
    if isinstance(fault, FileExistsError | NotADirectoryError):
        return "a file is in its place; move the file, or set another directory"
    return f"{fault.strerror}; set a directory that this user may create"


def _list_own(var: Path) -> Iterator[Path]:
    for pattern in _OWN_FILES:
        yield from var.glob(pattern)


def _close(path: Path) -> str | None:
    """Remove other users' permissions from a file or directory. Returns the problem if that fails."""
    try:
        status = path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            return _check_target(path)
        if mode & 0o077:
            path.chmod(mode & 0o700)
            # Some file systems accept a mode and keep their own.
            if stat.S_IMODE(path.lstat().st_mode) & 0o077:
                return f"other users can read {path}: its file system stores no modes"
        is_ours = status.st_uid == os.geteuid()
        return None if is_ours else f"{path} belongs to another user, who can read it with any mode"
    except FileNotFoundError:
        # A temporary file of another process.
        return None
    except OSError as fault:
        return f"other users can read {path}, which cannot be changed: {fault.strerror}"


def _check_target(link: Path) -> str | None:
    """Return the problem of a link's target, which is not changed: another user may have created the link."""
    target = link.stat()
    if target.st_uid == os.geteuid() and not stat.S_IMODE(target.st_mode) & 0o077:
        return None
    return f"other users can read the target of {link}, {os.path.realpath(link)}"
