"""What a worker requires to start, and its message if that is missing."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from sqlalchemy import delete

from swallowtail.app.core.coordination.worker_registry import live_kinds
from swallowtail.app.core.tables.system import Worker
from tests.harness.deployment import Deployment
from tests.harness.program import Program
from tests.harness.waiting import wait_until

MakeDeployment = Callable[..., Deployment]
MOVING = """
from pydantic import BaseModel
from swallowtail.workers.registry.declaration import agent
class MovedInput(BaseModel):
    pass
@agent(kind="moved", title="Moved", input=MovedInput)
def moved(ctx, task_input):
    return 1
"""


def start(deployment: Deployment, *flags: str, **settings: object) -> Program:
    """Start a worker with options and settings; it is expected to exit."""
    return deployment.command(
        "odd-worker", ["-m", "celery", "-A", "swallowtail.workers.celery_app", "worker", *flags], env=settings
    )


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_only_the_prefork_pool_is_accepted(fast_deployment: MakeDeployment, pool: str) -> None:
    program = start(fast_deployment(worker=False), "--pool", pool)
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
    fast_deployment: MakeDeployment, settings: dict[str, object], says: str
) -> None:
    program = start(fast_deployment(worker=False), **settings)
    assert program.wait() == 1
    assert says in program.log_text()
    assert "Traceback" not in program.log_text()


def test_a_database_without_tables_ends_it(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(worker=False)
    program = start(deployment, database_url=f"sqlite:///{deployment.root}/empty.db")
    assert program.wait() == 1
    assert "run swallowtail release" in program.log_text()


def test_a_worker_replaces_its_children_after_so_many_runs(fast_deployment: MakeDeployment) -> None:
    deployment = fast_deployment(worker_max_runs=2)
    instance = deployment.new_instance()
    for _ in range(5):
        assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"


@pytest.mark.long
@pytest.mark.parametrize("source", ["import sys; sys.exit(0)", "raise KeyboardInterrupt"])
def test_release_and_worker_end_with_a_message_and_an_error_code(fast_deployment: MakeDeployment, source: str) -> None:
    deployment = fast_deployment(worker=False)
    (deployment.root / "odd_agents.py").write_text(source)
    env = {"agents": "odd_agents", "PYTHONPATH": f"{deployment.root}:{os.getcwd()}"}
    for name, command in (
        ("release", ["-m", "swallowtail.workers.release"]),
        ("worker", ["-m", "celery", "-A", "swallowtail.workers.celery_app", "worker"]),
    ):
        program = deployment.command(name, command, env=env)
        assert program.wait() == 1
        assert "SWALLOWTAIL_AGENTS: odd_agents: cannot be loaded: " in program.log_text()
        assert "remove it from SWALLOWTAIL_AGENTS" in program.log_text()


@pytest.mark.long
def test_the_database_of_the_start_is_used_although_a_module_changes_the_directory(
    fast_deployment: MakeDeployment,
) -> None:
    deployment = fast_deployment(worker=False)
    elsewhere = deployment.root / "elsewhere"
    elsewhere.mkdir()
    (deployment.root / "odd_agents.py").write_text(f"{MOVING}\nimport os\nos.chdir({str(elsewhere)!r})\n")
    where = {"var_dir": ".", "database_url": "sqlite:///swallowtail.db", "announce_interval": 0.3}
    env = {"agents": "odd_agents", "PYTHONPATH": f"{deployment.root}:{os.getcwd()}", **where}
    assert deployment.command("release", ["-m", "swallowtail.workers.release"], env=env).wait() == 0
    deployment.start_worker(env=env)
    task = deployment.wait_for_task(deployment.submit(deployment.new_instance(), "moved", {}))
    assert task["status"] == "COMPLETED"

    def is_registered_again() -> bool:
        with deployment.runtime().db.read() as session:
            return "moved" in live_kinds(session)

    with deployment.runtime().db.write() as session:
        session.execute(delete(Worker))
    wait_until(is_registered_again, "the worker's sweeper process uses the same database")
    assert list(elsewhere.iterdir()) == []
