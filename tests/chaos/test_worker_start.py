"""What a worker needs to start, and says when it has not got it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness.house import House
from tests.harness.program import Program

MakeHouse = Callable[..., House]


def start(house: House, *flags: str, **settings: object) -> Program:
    """Start a worker with flags and settings of one's own; it is expected to end."""
    return house.command("odd-worker", ["-m", "celery", "-A", "workers.celery_app", "worker", *flags], env=settings)


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_only_the_prefork_pool_is_taken(brisk_house: MakeHouse, pool: str) -> None:
    program = start(brisk_house(worker=False), "--pool", pool)
    assert program.wait() == 1
    assert "swallowtail: only the prefork pool is supported" in program.log_text()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lease_seconds": "soon"}, "SWALLOWTAIL_LEASE_SECONDS"),
        ({"agents": "no.such.module"}, "SWALLOWTAIL_AGENTS: no.such.module"),
    ],
)
def test_a_setting_that_cannot_be_used_ends_it_with_its_name(
    brisk_house: MakeHouse, settings: dict[str, object], says: str
) -> None:
    program = start(brisk_house(worker=False), **settings)
    assert program.wait() == 1
    assert says in program.log_text()
    assert "Traceback" not in program.log_text()


def test_a_database_without_tables_ends_it(brisk_house: MakeHouse) -> None:
    house = brisk_house(worker=False)
    program = start(house, database_url=f"sqlite:///{house.root}/empty.db")
    assert program.wait() == 1
    assert "release command" in program.log_text()


def test_a_worker_replaces_its_children_after_so_many_runs(brisk_house: MakeHouse) -> None:
    house = brisk_house(worker_max_runs=2)
    instance = house.new_instance()
    for _ in range(5):
        assert house.wait_for_task(house.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"
