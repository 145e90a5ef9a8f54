"""Jumps of the database's clock neither end the lease of a live run nor extend the lease of a dead one."""

from __future__ import annotations

import pytest

from swallowtail.app.core.states import TaskStatus
from tests.core.coordination.adjustable_clock import AdjustableClock, SteadyClock
from tests.core.domain import Domain

HOUR = 3600.0
#: Twice the usual heartbeat: how long `LeaseExpiry` checks that the database accepts writes, in seconds.
GRACE = 2


def _expire_for(domain: Domain, steady: SteadyClock, seconds: float) -> int:
    """Check the leases each second for so long. Returns how many expired."""
    lost = domain.rt.lease_expiry.run()
    for _ in range(int(seconds)):
        steady.off += 1.0
        lost += domain.rt.lease_expiry.run()
    return lost


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_run_that_renews_its_lease_survives_any_clock_jump(
    domain: Domain, clock: AdjustableClock, steady: SteadyClock, jump: float
) -> None:
    claim = domain.running()
    assert _expire_for(domain, steady, 5) == 0
    clock.jump(jump)
    for _ in range(10):
        assert _expire_for(domain, steady, 5) == 0
        assert domain.runs.heartbeat(claim, 1.0, "").alive
    assert domain.task(claim.task_id).status == TaskStatus.IN_PROGRESS


@pytest.mark.parametrize("jump", [0.0, HOUR, -HOUR])
def test_the_run_of_a_killed_worker_is_lost_after_one_lease_despite_clock_jumps(
    domain: Domain, clock: AdjustableClock, steady: SteadyClock, jump: float
) -> None:
    claim = domain.running()
    assert _expire_for(domain, steady, 1) == 0
    clock.jump(jump)
    assert _expire_for(domain, steady, domain.settings.lease_seconds - 2) == 0
    assert _expire_for(domain, steady, 2 + GRACE) == 1
    assert domain.task(claim.task_id).status == TaskStatus.RETRYING


def test_a_sweeper_that_was_stopped_or_just_started_gives_every_run_time_to_renew_its_lease(
    domain: Domain, clock: AdjustableClock, steady: SteadyClock
) -> None:
    claim = domain.running()
    clock.jump(HOUR)
    assert _expire_for(domain, steady, 1) == 0, "has just started"
    steady.off += HOUR
    assert _expire_for(domain, steady, 1) == 0, "was stopped"
    domain.runs.heartbeat(claim, 1.0, "")
    assert _expire_for(domain, steady, domain.settings.lease_seconds - 1) == 0
    assert _expire_for(domain, steady, 1 + GRACE) == 1
