"""Commits an event and is killed before it can tell anybody: `python -m tests.delivery.killed_author INSTANCE`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from app.core.deployment import join
from app.core.events import EventRecord
from app.core.ledger import NewTask
from app.core.runtime import Runtime
from app.core.settings import load_settings


def die(events: Sequence[EventRecord]) -> None:
    """The failpoint: after the commit, before the publish."""
    assert events
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Submit a task to the instance that the argument names."""
    rt = Runtime.build(join(load_settings()), announce=die)
    rt.ledger.submit(NewTask(sys.argv[1], "echo", "Told to nobody", {}, fingerprint=""))


if __name__ == "__main__":
    main()
