"""Stop 6 of 12: Runs one attempt of a task, as the only Celery task: claims it, calls its agent, writes its end.

No exception of a run reaches Celery, neither SystemExit nor MemoryError: Celery only learns that the message was
handled. What a run does not write, the sweeper finds.
"""

from __future__ import annotations

import contextvars
import os
import socket
import time
from contextlib import suppress
from typing import Any

import structlog
from celery import signals
from pydantic import BaseModel, ValidationError

from swallowtail.app.core.database.connection_budget import forget_pool
from swallowtail.app.core.errors import Unavailable, explain
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.metrics import RUN_SECONDS
from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.app.core.logs.unlogged_output import ending_lines
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.states import TaskStatus
from swallowtail.workers import metrics
from swallowtail.workers.celery_app import celery_app
from swallowtail.workers.isolation.process_restore import (
    allow_multiprocessing,
    exit_after_failed_restore,
    restored_process,
)
from swallowtail.workers.registry.declaration import AgentSpec
from swallowtail.workers.run.context import RunContext
from swallowtail.workers.run.database_wait import DatabaseWait
from swallowtail.workers.run.error_text import describe, log_exception, safe_text
from swallowtail.workers.run.heartbeat import Heartbeat
from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.json_output import encode
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcome_writer import OutcomeWriter
from swallowtail.workers.run.outcomes import OutcomeKind, RunOutcome, RunStopped
from swallowtail.workers.run.retry_policy import outcome_of_error
from swallowtail.workers.run.run_state import RunState
from swallowtail.workers.runtime.thread_context import inherit_context
from swallowtail.workers.runtime.worker_runtime import (
    agents,
    close_runtime,
    heartbeat_writer,
    runtime,
    settings,
    shared_memory,
    slot,
)

log = structlog.get_logger(__name__)


@signals.worker_process_init.connect
def prepare_child(**_: object) -> None:
    """Prepare a new pool child."""
    metrics.keep_to_this_process()
    forget_pool()
    inherit_context()
    allow_multiprocessing()
    exit_after_failed_restore()


@signals.worker_process_shutdown.connect
def close_child(**_: object) -> None:
    """Publish what waits and close the connections of a pool child that ends."""
    close_runtime()


@celery_app.task(name=RUN_TASK, acks_late=False, ignore_result=True)
def run(task_id: str, attempt: int) -> None:
    """Perform one attempt of a task if its wake-up is still valid; `broker/message_check` checked its signature."""
    # In a context of its own, since an agent may set context variables.
    contextvars.copy_context().run(_run, task_id, attempt)


def _run(task_id: str, attempt: int) -> None:
    bound = structlog.contextvars.bound_contextvars(task_id=task_id, attempt=attempt)
    with bound, ending_lines(), Interrupts(RunState(slot(), settings())) as interrupts, restored_process():
        try:
            if shared_memory().is_stopping:
                # It would be stopped at once.
                log.info("wakeup_returned")
                runtime().proposals.discarded(task_id, attempt)
                return
            perform(runtime(), agents(), interrupts, task_id, attempt)
        except BaseException:
            # The lease is not extended any more, so the sweeper gives the task its next attempt.
            log.exception("run_failed_unexpectedly")


def perform(
    rt: Runtime, agents_by_kind: dict[str, AgentSpec], interrupts: Interrupts, task_id: str, attempt: int
) -> TaskStatus | None:
    """Claim the task, run its agent and write the outcome. Returns the task's new status, None if it is unknown."""
    claimed_at = time.monotonic()
    try:
        claim = rt.runs.claim(task_id, attempt, f"{socket.gethostname()}:{os.getpid()}", agents_by_kind)
    except Unavailable as unavailable:
        log.warning("claim_postponed", reason=unavailable.message)
        return None
    if claim is None:
        log.info("wakeup_is_stale")
        return None
    log.info("run_started", kind=claim.kind, instance_id=claim.instance_id)
    live = LiveProgress(claim, rt.settings.progress_rate, interrupts.state.changed.set)
    writer = OutcomeWriter(rt, claim, live)
    beats = heartbeat_writer(rt)
    with Heartbeat(claim, claimed_at, beats, rt.settings, interrupts, live, writer.write_before_kill) as heartbeat:
        wait = make_database_wait(claim, rt, interrupts.state, live)
        result, outcome = run_agent(agents_by_kind.get(claim.kind), claim, rt, interrupts, live, wait)
        heartbeat.finish()
        status = writer.write(result, outcome, wait.write)
        RUN_SECONDS.labels(status.value if status else "unknown").observe(time.monotonic() - claimed_at)
        return status


def run_agent(
    spec: AgentSpec | None, claim: Claim, rt: Runtime, interrupts: Interrupts, live: LiveProgress, wait: DatabaseWait
) -> tuple[Any, RunOutcome | None]:
    """Call the agent. Returns its result, or how the run ends without one."""
    if spec is None:
        waited = f"none that does took it within {rt.settings.kind_patience:g} s"
        message = f"This worker has no agent of kind {claim.kind!r}, and {waited}"
        return None, RunOutcome(OutcomeKind.FAIL, {"code": "unknown_kind", "message": message})
    task_input = read_input(spec, claim.input)
    if isinstance(task_input, RunOutcome):
        return None, task_input
    ctx = RunContext(claim, rt.runs, rt.settings, interrupts, live, wait.write)
    try:
        result = encode(interrupts.call(spec.function, ctx, task_input), rt.settings)
    except RunStopped as stopped:
        return None, ctx.outcome or stopped.outcome
    except BaseException as error:
        if ctx.outcome is None:
            log_exception(log, "agent_failed", error)
        # The code outside of steps gets as many tries as a step gets by default.
        tried, tries = claim.failures + 1, rt.settings.step_tries
        return None, ctx.outcome or outcome_of_error(error, interrupts.state, rt.settings, tried=tried, tries=tries)
    return result, ctx.outcome


def make_database_wait(claim: Claim, rt: Runtime, state: RunState, live: LiveProgress) -> DatabaseWait:
    """Return what repeats a run's writes during an outage; while the worker stops, until its grace is used up."""

    def extend_lease() -> None:
        began = time.monotonic()
        with suppress(Unavailable):
            state.extend(began, rt.runs.heartbeat(claim, *live.current()).cancel_requested)

    def may_wait() -> bool:
        return not state.slot.memory.is_stopping_for(rt.settings.shutdown_grace)

    return DatabaseWait(rt.settings.heartbeat_seconds, may_wait, extend_lease)


def read_input(spec: AgentSpec, document: Any) -> BaseModel | RunOutcome:
    """Validate a task's input again with the agent's own model, which may have changed since the submission."""
    try:
        return spec.input_model.model_validate(document)
    except ValidationError as invalid:
        problem = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        field = "input" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in problem["loc"])
        error = {
            "code": "invalid_input",
            "message": safe_text(f"{field}: {explain(problem)}"),
            "field": safe_text(field),
        }
    except Exception as broken:  # a model may have validators that raise anything
        error = describe(broken, code="invalid_input")
    return RunOutcome(OutcomeKind.FAIL, error)
