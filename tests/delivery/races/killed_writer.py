"""Commits an event and is killed before it publishes it: `python -m tests.delivery.races.killed_writer INSTANCE`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from swallowtail import signals
from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.deployment_identity import join
from swallowtail.app.core.events import EventRecord
from swallowtail.app.core.ledger.tasks import CheckedTask
from swallowtail.app.core.runtime import Runtime


def die(sender: object, events: Sequence[EventRecord]) -> None:
    """Die after the commit and before the publish."""
    assert events
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Submit a task to the instance that the argument names."""
    rt = Runtime.build(join(load_settings()), publish=False)
    signals.event_recorded.connect(die, rt.db)
    rt.ledger.submit(CheckedTask(sys.argv[1], "echo", "Not published", {}, fingerprint=""))


if __name__ == "__main__":
    main()
