"""A database that refuses writes: the error names the reason, and nothing that was stored changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.health import check_database
from swallowtail.app.core.maintenance.lease_expiry import LeaseExpiry
from swallowtail.app.core.states import TaskStatus
from tests.core.domain import Domain
from tests.harness.database.refusing_database import POSTGRES_REFUSALS, SQLITE_REFUSALS, Refusing

POSTGRES = POSTGRES_REFUSALS.items()
NewDomain = Callable[..., Domain]
#: Enough that the file has to grow, however much room is left in it.
MUCH = {"text": "x" * 200_000}


@pytest.fixture(
    params=[
        *(pytest.param((how, reason), id=how) for how, reason in SQLITE_REFUSALS.items()),
        *(pytest.param((code, reason), marks=pytest.mark.service, id=f"postgres-{code}") for code, reason in POSTGRES),
    ]
)
def refused(request: pytest.FixtureRequest) -> tuple[Domain, Refusing, str, str]:
    """Return a domain whose database can refuse writes, how it refuses, and the reason in the error."""
    how, reason = request.param
    fixture = "new_domain" if how in SQLITE_REFUSALS else "new_postgres_domain"
    domain: Domain = request.getfixturevalue(fixture)(database_wait=0.1, lease_seconds=15.0)
    return domain, Refusing(domain.db), how, reason


def test_refused_writes_are_reported_and_work_continues_when_writes_succeed_again(refused: Any) -> None:
    domain, refusing, how, reason = refused
    claim = domain.running()
    domain.runs.start_step(claim, "a", "Agent", "work")
    refusing.how = how
    with pytest.raises(Unavailable) as away:
        domain.submit(input=MUCH)
    assert away.value.message == reason
    with pytest.raises(Unavailable):
        domain.runs.finish_step(claim, "a", MUCH)
    health = check_database(domain.rt)
    assert health == {
        "status": "degraded",
        "detail": f"can be read, but {reason}; tasks wait until it takes writes again",
    }
    refusing.how = None
    domain.runs.finish_step(claim, "a", MUCH)
    domain.runs.complete(claim, {})
    assert check_database(domain.rt)["status"] == "ok"
    assert domain.story()[-2:] == ["a completed", "COMPLETED"]


def test_no_run_is_lost_before_it_could_renew_its_lease_again(refused: Any) -> None:
    domain, refusing, how, _ = refused
    now = [0.0]
    lease_expiry = domain.rt.lease_expiry = LeaseExpiry(domain.db, domain.proposals, domain.settings, lambda: now[0])
    claim, killed = domain.running(), domain.running()

    def check_for(seconds: int) -> int:
        lost = 0
        for _ in range(seconds):
            now[0] += 1.0
            lost += lease_expiry.run()
        return lost

    assert check_for(14) == 0
    if how in SQLITE_REFUSALS:
        # Only a larger write needs room on the disk.
        how = "query_only=1"
    refusing.how = how
    with pytest.raises(Unavailable):
        check_for(30)
    refusing.how = None
    assert check_for(10) == 0, "the refusal has forgotten what was seen"
    domain.runs.heartbeat(claim, 1.0, "")
    assert check_for(8) == 1
    assert domain.task(killed.task_id).status == TaskStatus.RETRYING
    assert domain.task(claim.task_id).status == TaskStatus.IN_PROGRESS


def test_after_an_outage_the_sweeper_gives_live_runs_time_to_renew(new_domain: NewDomain) -> None:
    domain = new_domain()
    now = [0.0]
    lease_expiry = LeaseExpiry(domain.db, domain.proposals, domain.settings, lambda: now[0])
    claim = domain.running()
    for _ in range(17):
        assert lease_expiry.run() == 0, "it has to be sure that writes are taken"
        now[0] += 1.0
    domain.runs.heartbeat(claim, 1.0, "")
    assert lease_expiry.run() == 0
    assert domain.task(claim.task_id).status == TaskStatus.IN_PROGRESS
