"""A sweeper that stops leaves no due outbox entry to another process.

Kind of fault: a wake-up that comes while a thread works, and is forgotten when the thread ends.
"""

from __future__ import annotations

import threading
import time
from unittest.mock import Mock

import pytest

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.maintenance.sweeper import Sweeper
from tests.core.conftest import NewDomain


class Relay(Mock):
    """Sends nothing; its first call ends when the sweeper stops, and further ones raise `fault`."""

    sweeper: Sweeper
    fault: Exception | None

    def begin(self) -> None:
        self.calls, self.is_sending = 0, threading.Event()

    def run_due(self, limit: int) -> int:
        self.calls += 1
        if self.calls > 1 and self.fault is not None:
            raise self.fault
        self.is_sending.set()
        while not self.sweeper._sweeps.is_stopping:
            time.sleep(0.01)
        return 0


@pytest.mark.parametrize("fault", [None, Unavailable(), ValueError("a surprise")], ids=repr)
@pytest.mark.parametrize("is_due", [True, False])
def test_an_entry_that_became_due_during_the_last_sweep_is_sent(
    new_domain_on: NewDomain, is_due: bool, fault: Exception | None
) -> None:
    rt = new_domain_on().rt
    relay = Relay(fault=fault)
    relay.begin()
    relay.sweeper = sweeper = Sweeper(rt, rt.clock, relay, rt.lease_expiry, rt.due)
    sweeper.start()
    rt.due.set()
    assert relay.is_sending.wait(60)
    if is_due:
        rt.due.set()
    sweeper.stop()
    assert relay.calls == 1 + is_due
