"""Tokens that expired or were revoked long ago are deleted in batches, and no others."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import InstrumentedAttribute

from swallowtail.app.core.database.database import db_now
from swallowtail.app.core.events import now
from swallowtail.app.core.maintenance.token_cleanup import delete_ended_tokens
from swallowtail.app.core.tables.auth import AccessToken
from swallowtail.app.core.tables.system import PeriodicLock
from tests.harness.waiting import wait_until
from tests.identity.bench import Bench
from tests.identity.conftest import NewBench

DAY = timedelta(days=1)


def add(bench: Bench, name: str, *, expired: float | None = None, revoked: float | None = None) -> None:
    """Store a token that expired or was revoked some days ago; negative: in the future."""
    ages = {"expires_at": expired, "revoked_at": revoked}
    moments = {field: None if age is None else now() - age * DAY for field, age in ages.items()}
    user_id = bench.user().id
    with bench.rt.db.write() as session:
        session.add(AccessToken(id=name, kind="personal", user_id=user_id, created_at=now(), **moments))


def left(bench: Bench) -> list[str]:
    with bench.rt.db.read() as session:
        return list(session.scalars(select(AccessToken.id).order_by(AccessToken.id)))


def next_turn(bench: Bench) -> None:
    with bench.rt.db.write() as session:
        session.execute(update(PeriodicLock).values(next_at=db_now(-1)))


def test_only_tokens_that_ended_long_ago_are_deleted(bench: Bench) -> None:
    add(bench, "expired", expired=31)
    add(bench, "revoked", expired=-60, revoked=31)
    add(bench, "kept 1", expired=29)
    add(bench, "kept 2", expired=-60, revoked=29)
    add(bench, "kept 3", expired=-60)
    add(bench, "kept 4")
    assert delete_ended_tokens(bench.rt, lambda: True) == 2
    assert left(bench) == ["kept 1", "kept 2", "kept 3", "kept 4"]


@pytest.mark.parametrize("column", [AccessToken.expires_at, AccessToken.revoked_at], ids=lambda column: column.key)
def test_they_are_found_by_an_index(bench: Bench, column: InstrumentedAttribute[datetime | None]) -> None:
    question = select(AccessToken.id).where(column < db_now(-1)).limit(1)
    with bench.rt.db.read() as session:
        asked = question.compile(session.connection(), compile_kwargs={"literal_binds": True})
        plan = " ".join(row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {asked}")))
    assert f"ix_access_token_{column.key}" in plan


def test_one_process_at_a_time_deletes(bench: Bench) -> None:
    assert delete_ended_tokens(bench.rt, lambda: True) == 0
    add(bench, "expired", expired=31)
    assert delete_ended_tokens(bench.rt, lambda: True) == 0
    next_turn(bench)
    assert delete_ended_tokens(bench.rt, lambda: True) == 1


def test_it_runs_in_small_transactions_and_stops_between_two_on_request(new_bench: NewBench) -> None:
    bench = new_bench(prune_batch=2)
    bench.add("ann")
    for number in range(5):
        add(bench, f"{number}", expired=31)
    answers = iter([True, False, False])
    assert delete_ended_tokens(bench.rt, lambda: next(answers)) == 2
    assert len(left(bench)) == 3
    next_turn(bench)
    assert delete_ended_tokens(bench.rt, lambda: True) == 3


def test_with_zero_days_everything_is_kept(new_bench: NewBench) -> None:
    bench = new_bench(token_keep_days=0)
    bench.add("ann")
    add(bench, "expired", expired=3000)
    assert delete_ended_tokens(bench.rt, lambda: True) == 0
    assert left(bench) == ["expired"]


def test_the_thread_that_prunes_deletes_them(new_bench: NewBench) -> None:
    bench = new_bench(prune_interval=0.05)
    bench.add("ann")
    add(bench, "expired", expired=31)
    sweeper = bench.rt.make_sweeper()
    sweeper.start()
    try:
        wait_until(lambda: not left(bench), "the token is deleted")
    finally:
        sweeper.stop()
