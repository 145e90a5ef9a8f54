"""Receivers of Celery's signals, which propose to the ledger, and of our own, which log.

A built-in signal may come twice, late, or not at all (none is sent after kill -9), so a receiver only proposes: the
ledger looks at the task's status and attempt before it moves it, and the sweep finds what no signal reported. Celery's
signals come in the worker's main process, our own in the pool child of the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from billiard.process import current_process
from celery import signals as celery_signals
from celery.exceptions import TimeLimitExceeded

from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.app.core.ledger.proposals import WORKER_LOST, Proposals
from swallowtail.signals import step_finished, step_started
from swallowtail.workers.runtime.worker_runtime import runtime, shared_memory, short_lived_runtime

log = structlog.get_logger(__name__)

HARD_LIMIT = {"code": "hard_time_limit", "message": "The hard time limit was exceeded"}


@step_started.connect
def log_step_start(sender: object, claim: Claim, key: str, tries: int, **_: object) -> None:
    """Log that a step was opened."""
    log.info("step_started", task_id=claim.task_id, step=key, tries=tries)


@step_finished.connect
def log_step_end(sender: object, claim: Claim, key: str, status: str, **_: object) -> None:
    """Log how a step ended."""
    log.info("step_finished", task_id=claim.task_id, step=key, status=status)


@celery_signals.worker_shutting_down.connect
def on_shutdown(**_: object) -> None:
    """Announce to the runs that the worker stops. Called in a signal handler, which must not log."""
    shared_memory().announce_stop()


@celery_signals.task_failure.connect
@celery_signals.task_internal_error.connect
def on_failure(sender: Any, exception: BaseException, args: Any, **_: object) -> None:
    """Propose the end of a run whose child is gone, or around which Celery failed; a hard limit is reported twice."""
    if isinstance(exception, TimeLimitExceeded):
        propose(Proposals.failed, sender.name, args, HARD_LIMIT)
    else:
        propose(Proposals.lost, sender.name, args, WORKER_LOST)


@celery_signals.task_revoked.connect
def on_revoked(sender: Any, request: Any, **_: object) -> None:
    """Propose to cancel a task whose message an operator revoked or terminated."""
    propose(Proposals.cancelled, sender.name, request.args)


@celery_signals.task_rejected.connect
@celery_signals.task_unknown.connect
def on_discarded(sender: Any, message: Any, **_: object) -> None:
    """Propose to send a message again that the worker could not read, or that names no task of this worker."""
    propose(Proposals.discarded, *_read_name_and_arguments(message))


def propose(proposal: Callable[..., None], name: str, args: Any, *details: object) -> None:
    """Call a method of `Proposals` for the task that a message was about; log a message that is not ours."""
    match args:
        case [str() as task_id, int() as attempt, *_] if name == RUN_TASK:
            log.warning("signal", proposes=proposal.__name__, task_id=task_id, attempt=attempt)
        case _:
            log.warning("signal_not_ours", name=name)
            return
    if current_process().name == "MainProcess":
        with short_lived_runtime() as short:
            proposal(short.proposals, task_id, attempt, *details)
    else:
        proposal(runtime().proposals, task_id, attempt, *details)


def _read_name_and_arguments(message: Any) -> tuple[str, Any]:
    """Return name and arguments of a message that may be anything."""
    try:
        return str(message.headers.get("task")), message.payload[0]
    except Exception:  # not readable
        return "", None
