"""Wake-ups that never stop do not keep a sweeper from its other work.

Kind of fault: periodic work that waits for an interval without a wake-up, or for other work that never ends, in a busy
process.
"""

from __future__ import annotations

import threading
from unittest.mock import Mock

import pytest

from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.maintenance.sweeper import BATCH, Sweeper
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services.tasks import submit
from tests.core.conftest import NewDomain
from tests.harness.waiting import wait_until


class Relay(Mock):
    """Says that it sends `sent` entries; each call comes with another submission."""

    due: threading.Event
    sent: int

    def run_due(self, limit: int) -> int:
        self.due.set()
        return self.sent


@pytest.mark.parametrize("sent", [1, BATCH])
def test_tasks_expire_and_lost_messages_are_found_while_submissions_never_stop(
    new_domain_on: NewDomain, sent: int
) -> None:
    domain = new_domain_on(sweep_interval=0.2)
    register(domain.db, [AgentCard("brief", "Brief", "", "1", {})])
    rt, relay = domain.rt, Relay(due=domain.rt.due, sent=sent)
    submit(rt, "demo", NewTask(kind="brief", input={}, expires_in=0.001))
    sweeper = Sweeper(rt, rt.clock, relay, rt.lease_expiry, rt.due)
    rt.due.set()
    sweeper.start()
    try:
        wait_until(lambda: domain.events()[-1].data.get("status") == "EXPIRED", "the task expires")
        wait_until(lambda: relay.find_lost.call_count > 1, "lost messages are looked for again")
    finally:
        sweeper.stop()
