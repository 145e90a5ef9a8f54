"""What a worker can be asked to run."""

from __future__ import annotations

from app.core.outbox import RUN_TASK
from workers.celery_app import celery_app
from workers.run_task import run


def test_a_worker_has_one_task_and_none_of_celerys_own() -> None:
    assert run.name == RUN_TASK
    assert set(celery_app.tasks) == {RUN_TASK}
