"""Reads the variables of the environment and of `.env`, and finds misspelt names among them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from dotenv import dotenv_values

from swallowtail.app.core.errors import SettingsError

PREFIX = "SWALLOWTAIL_"
#: Kubernetes sets these in every container beside a service whose name begins with `swallowtail`.
_KUBERNETES = re.compile(r"SWALLOWTAIL_(?:[A-Z0-9_]+_)?(?:SERVICE_(?:HOST|PORT)(?:_[A-Z0-9_]+)?|PORT_\d+_.*)")
#: Celery prefers these to the broker URL of the settings, and then ignores their TLS options. So does `celery -b`.
_CELERY = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND")


def read_env_file() -> Mapping[str, str | None]:
    """Return the variables of `.env` in the working directory. Raises SettingsError, whose message names the file."""
    file = Path(".env").absolute()
    try:
        return dotenv_values(file, encoding="utf-8")
    except UnicodeDecodeError as fault:
        raise SettingsError(f"{file} is not UTF-8 at byte {fault.start}: save it as UTF-8") from None
    except OSError as fault:
        raise SettingsError(f"{file} cannot be read: {fault.strerror}; permit it, or remove the file") from None


def read_values(known: Collection[str]) -> dict[str, str]:
    """Return the values of the settings by field name, from `.env` and the environment, which wins.

    Names may have any case. `PORT` sets `port` too, if `SWALLOWTAIL_PORT` does not in the same place.
    """
    values: dict[str, str] = {}
    for variables in (_upper(read_env_file()), _upper(os.environ)):
        if "PORT" in variables:
            variables.setdefault(f"{PREFIX}PORT", variables["PORT"])
        values |= {name: variables[PREFIX + name.upper()] for name in known if PREFIX + name.upper() in variables}
    return values


def find_unknown(known: Iterable[str]) -> list[str]:
    """Return a message for each variable with our prefix that is no setting, with the nearest name."""
    names = {name.upper() for name in known}
    variables = {**read_env_file(), **os.environ}
    messages = [
        f"{name}: Celery would use it instead of SWALLOWTAIL_BROKER_URL; set SWALLOWTAIL_BROKER_URL (also for `-b`)"
        for name in _CELERY
        if os.environ.get(name)
    ]
    for name, value in sorted(variables.items()):
        bare = name.upper().removeprefix(PREFIX)
        if not name.upper().startswith(PREFIX) or bare in names or _is_kubernetes(name.upper(), value or ""):
            continue
        near = get_close_matches(bare, names, n=1)
        hint = f"did you mean {PREFIX}{near[0]}?" if near else "docs/settings.md lists them"
        messages.append(f"{name}: there is no such setting; {hint}")
    return messages


def _is_kubernetes(name: str, value: str) -> bool:
    return _KUBERNETES.fullmatch(name) is not None or value.startswith(("tcp://", "udp://"))


def _upper(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name.upper(): value for name, value in variables.items() if value is not None}
