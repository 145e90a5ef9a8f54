"""Who listens to the signals: ours are published to Redis, Celery's become proposals to the ledger.

Between `workers/signals` and `core/ledger/publisher`. A built-in signal may come twice, late, or not at all (nobody
sends one after kill -9), so a receiver only proposes: the ledger looks at the task's state and attempt before it moves
it, and the sweep finds what no signal told. Celery's come in the main process, our own in the pool child of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog
from billiard.process import current_process
from celery import signals as celery_signals
from celery.exceptions import TimeLimitExceeded

from swallowtail.app.core.events import EventRecord, LiveState, StepText
from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.app.core.ledger.runs import Claim
from swallowtail.app.core.ledger.tasks import WORKER_LOST
from swallowtail.workers.runtime.worker_runtime import runtime, shared_memory, short_lived_runtime
from swallowtail.workers.signals import event_recorded, progressed, step_finished, step_started, text_produced

log = structlog.get_logger(__name__)

HARD_LIMIT = {"code": "hard_time_limit", "message": "The hard time limit was exceeded"}


@event_recorded.connect
def publish_events(sender: object, events: Sequence[EventRecord], **_: object) -> None:
    """Ring the doorbell for committed events."""
    runtime().broadcast.publish(events)


@progressed.connect
def publish_progress(sender: object, state: LiveState, **_: object) -> None:
    """Ring the doorbell for progress inside a step."""
    runtime().broadcast.publish_live(state)


@text_produced.connect
def publish_text(sender: object, text: StepText, **_: object) -> None:
    """Pass streamed text on."""
    runtime().broadcast.publish_text(text)


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
    """The worker was told to stop: so are its runs. Comes in a signal handler, which must not log."""
    shared_memory().announce_stop()


@celery_signals.task_failure.connect
def on_failure(sender: Any, exception: BaseException, args: Any, **_: object) -> None:
    """The pool lost a child, or killed it for its hard time limit; the latter is told twice."""
    if isinstance(exception, TimeLimitExceeded):
        propose("propose_failed", sender.name, args, HARD_LIMIT)
    else:
        propose("propose_lost", sender.name, args, WORKER_LOST)


@celery_signals.task_revoked.connect
def on_revoked(sender: Any, request: Any, **_: object) -> None:
    """An operator revoked the message, or had its run terminated."""
    propose("propose_cancelled", sender.name, request.args)


@celery_signals.task_internal_error.connect
def on_internal_error(sender: Any, args: Any, **_: object) -> None:
    """Celery itself failed around a run."""
    propose("propose_lost", sender.name, args, WORKER_LOST)


@celery_signals.task_rejected.connect
def on_rejected(sender: Any, message: Any, **_: object) -> None:
    """The worker threw a message away that it could not read."""
    propose("propose_unheard", *_addressed(message))


@celery_signals.task_unknown.connect
def on_unknown(sender: Any, message: Any, **_: object) -> None:
    """The worker threw a message away that names no task it has."""
    propose("propose_unheard", *_addressed(message))


def propose(what: str, name: str, args: Any, *details: object) -> None:
    """Call a method of the ledger for the task that a message was about; a message of somebody else is logged only."""
    match args:
        case [str() as task_id, int() as attempt, *_] if name == RUN_TASK:
            log.warning("signal", proposes=what, task_id=task_id, attempt=attempt)
        case _:
            log.warning("signal_not_ours", name=name)
            return
    if current_process().name == "MainProcess":
        with short_lived_runtime() as short:
            getattr(short.ledger, what)(task_id, attempt, *details)
    else:
        getattr(runtime().ledger, what)(task_id, attempt, *details)


def _addressed(message: Any) -> tuple[str, Any]:
    """Name and arguments of a message that may be anything."""
    try:
        return str(message.headers.get("task")), message.payload[0]
    except Exception:  # whatever it was, it was not readable
        return "", None
