"""Checks the settings, `.env` and the var directory."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from swallowtail.app.core.config.environment import PREFIX, read_env_file
from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.errors import SettingsError
from swallowtail.scripts.doctor.results import CheckResult

#: Free space of the var directory below which a warning is due, in bytes.
_LITTLE_SPACE = 200_000_000
#: Between the messages about two variables, which one error joins.
_NEXT_VARIABLE = re.compile(r"; (?=\w+(?: \(or PORT\))?: )")
_REMEDY = "correct or remove the variable; docs/settings.md lists them"


def read_settings() -> tuple[Settings | None, list[CheckResult]]:
    """Return the settings, and a result for each variable that cannot be used."""
    try:
        read_env_file()
    except SettingsError:
        return None, [CheckResult("problem", "settings", "are unknown, because .env cannot be read")]
    try:
        settings = load_settings()
    except SettingsError as error:
        parts = _NEXT_VARIABLE.split(error.message)
        return None, [CheckResult("problem", "settings", part, _REMEDY) for part in parts]
    access = "anyone on this machine has full access" if settings.is_open else "callers must sign in"
    return settings, [CheckResult("ok", "settings", f"{len(settings.model_fields_set)} set; {access}")]


def check_env_file() -> Iterator[CheckResult]:
    """Check that `.env` of the current folder can be read."""
    path = Path(".env").absolute()
    if not path.exists():
        yield CheckResult("ok", ".env", f"there is none in {path.parent}: the environment has all settings")
        return
    try:
        names = [*read_env_file()]
    except SettingsError as error:
        # The message has the remedy.
        yield CheckResult("problem", ".env", error.message)
        return
    hidden = sorted(name for name in names if name.upper().startswith(PREFIX) and name in os.environ)
    if hidden:
        detail = f"the environment overrides {', '.join(hidden)}"
        yield CheckResult("warning", ".env", detail, "remove the variable here or there")
    yield CheckResult("ok", ".env", f"{path} sets {len(names)} variable{'' if len(names) == 1 else 's'}")


def check_var(settings: Settings) -> Iterator[CheckResult]:
    """Check that the var directory can be written, and has space."""
    var, name = settings.var, "var directory"
    if not var.exists():
        parent = next(parent for parent in var.parents if parent.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield CheckResult("warning", name, f"{var} does not exist yet", "swallowtail release creates it")
        else:
            remedy = f"create it for this user, or set {PREFIX}VAR_DIR"
            yield CheckResult("problem", name, f"{var} cannot be created in {parent}", remedy)
        return
    if not var.is_dir() or not os.access(var, os.R_OK | os.W_OK | os.X_OK):
        remedy = f"give it to the user of the processes (chown), or set {PREFIX}VAR_DIR"
        yield CheckResult("problem", name, f"{var} is not a directory that this user can write", remedy)
        return
    free = shutil.disk_usage(var).free
    if free < _LITTLE_SPACE:
        detail = f"{var} has {free // 1_000_000} MB of free space left"
        yield CheckResult("warning", name, detail, "free some space: a full disk stops every write")
    else:
        yield CheckResult("ok", name, f"{var}, with {free / 1e9:.1f} GB of free space")
