"""What a worker needs to start, and says when it has not got it."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from app.core.fleet import live_kinds
from tests.harness.house import House
from tests.harness.program import Program
from tests.harness.waiting import wait_until

MakeHouse = Callable[..., House]
MOVING = """
from pydantic import BaseModel
from workers.catalogue import agent
class Given(BaseModel):
    pass
@agent(kind="moved", title="Moved", input=Given)
def moved(ctx, given):
    return 1
"""


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
    assert "run python -m workers.release" in program.log_text()


def test_a_worker_replaces_its_children_after_so_many_runs(brisk_house: MakeHouse) -> None:
    house = brisk_house(worker_max_runs=2)
    instance = house.new_instance()
    for _ in range(5):
        assert house.wait_for_task(house.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"


@pytest.mark.long
@pytest.mark.parametrize("source", ["import sys; sys.exit(0)", "raise KeyboardInterrupt"])
def test_release_and_worker_end_with_a_line_and_not_with_success(brisk_house: MakeHouse, source: str) -> None:
    house = brisk_house(worker=False)
    (house.root / "odd_agents.py").write_text(source)
    env = {"agents": "odd_agents", "PYTHONPATH": f"{house.root}:{os.getcwd()}"}
    for name, command in (
        ("release", ["-m", "workers.release"]),
        ("worker", ["-m", "celery", "-A", "workers.celery_app", "worker"]),
    ):
        program = house.command(name, command, env=env)
        assert program.wait() == 1
        assert "SWALLOWTAIL_AGENTS: odd_agents: cannot be loaded: " in program.log_text()
        assert "take it out of SWALLOWTAIL_AGENTS" in program.log_text()


@pytest.mark.long
def test_the_database_of_the_start_is_used_though_a_module_goes_elsewhere(brisk_house: MakeHouse) -> None:
    house = brisk_house(worker=False)
    elsewhere = house.root / "elsewhere"
    elsewhere.mkdir()
    (house.root / "odd_agents.py").write_text(f"{MOVING}\nimport os\nos.chdir({str(elsewhere)!r})\n")
    where = {"var_dir": ".", "database_url": "sqlite:///swallowtail.db"}
    env = {"agents": "odd_agents", "PYTHONPATH": f"{house.root}:{os.getcwd()}", **where}
    assert house.command("release", ["-m", "workers.release"], env=env).wait() == 0
    house.start_worker(env=env)
    task = house.wait_for_task(house.submit(house.new_instance(), "moved", {}))
    assert task["status"] == "COMPLETED"

    def is_announced() -> bool:
        with house.runtime().db.read() as session:
            return "moved" in live_kinds(session)

    wait_until(is_announced, "the worker's reaper uses the same database")
    assert list(elsewhere.iterdir()) == []
