"""Fixtures: the clock of the domain's database, and the steady clock of its lease expiry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from swallowtail.app.core.maintenance.lease_expiry import LeaseExpiry
from tests.core.coordination.adjustable_clock import AdjustableClock, SteadyClock
from tests.core.domain import Domain


@pytest.fixture
def clock(domain: Domain) -> Iterator[AdjustableClock]:
    clock = AdjustableClock(domain)
    yield clock
    clock.close()


@pytest.fixture
def steady(domain: Domain) -> SteadyClock:
    """The clock of the domain's lease expiry, which only the test moves."""
    clock = SteadyClock(runs=False)
    domain.rt.lease_expiry = LeaseExpiry(domain.db, domain.proposals, domain.settings, clock)
    return clock
