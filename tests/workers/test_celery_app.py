"""Which tasks a worker can run."""

from __future__ import annotations

from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.workers.celery_app import celery_app
from swallowtail.workers.run_task import run


def test_a_worker_has_one_task_and_none_of_celerys_own() -> None:
    assert run.name == RUN_TASK
    assert set(celery_app.tasks) == {RUN_TASK}
