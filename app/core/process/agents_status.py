"""Keeps, under `swallowtail dev`, whether the last worker could load the agents: a file in the var directory."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "agents_status.json"


@dataclass(frozen=True, slots=True)
class AgentsStatus:
    """What the process `pid` reported: the error that kept it from loading the agents, or None."""

    pid: int = 0
    error: str | None = None


def write_status(var: Path, error: str | None) -> None:
    """Replace the status by that of this process. Raises OSError."""
    draft = var / f"{FILE}.{os.getpid()}"
    draft.write_text(json.dumps(asdict(AgentsStatus(os.getpid(), error))), encoding="utf-8")
    draft.replace(var / FILE)


def read_status(var: Path) -> AgentsStatus:
    """Return the last status; an empty one if there is none."""
    with suppress(OSError, ValueError, TypeError):
        return AgentsStatus(**json.loads((var / FILE).read_text(encoding="utf-8")))
    return AgentsStatus()
