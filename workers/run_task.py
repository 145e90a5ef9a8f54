"""The one Celery task: a wake-up call arrives, a task is claimed, its agent runs, and its end is written.

On the road: `core/ledger/outbox` → Celery → here → the agent and `workers/run/context` → `core/ledger/runs`. Nothing that happens in a
run escapes to Celery: not sys.exit, not MemoryError. All that Celery is told is that the message was dealt with.
"""

from __future__ import annotations

import contextvars
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery import signals
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import SQLAlchemyError

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.connection_budget import forget_pool
from swallowtail.app.core.errors import LeaseLost, SwallowtailError, Unavailable
from swallowtail.app.core.ledger.metrics import RUN_SECONDS
from swallowtail.app.core.ledger.outbox import RUN_TASK
from swallowtail.app.core.ledger.runs import Claim
from swallowtail.app.core.logs.unlogged_output import ending_lines
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.states import TaskStatus
from swallowtail.workers import metrics
from swallowtail.workers.celery_app import celery_app
from swallowtail.workers.isolation.process_restore import allow_processes, kept, renew
from swallowtail.workers.registry.catalogue import AgentSpec
from swallowtail.workers.run.context import Context
from swallowtail.workers.run.database_wait import Holding
from swallowtail.workers.run.heartbeat import Pulse
from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.json_output import encode
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.outcomes import (
    OVERTIME,
    SHUT_DOWN,
    End,
    Ending,
    Error,
    PermanentError,
    RunStopped,
    describe,
    internal,
    log_fault,
    pause,
    tell,
)
from swallowtail.workers.run.threads import carry_context
from swallowtail.workers.worker_runtime import agents, board, impatient, runtime, slot

log = structlog.get_logger(__name__)

Hold = Callable[[Callable[[], Any]], Any]


def at_once(write: Callable[[], Any]) -> Any:
    """Write without holding on: for the last words of a process that is about to be killed."""
    return write()


@signals.worker_process_init.connect
def prepare_child(**_: object) -> None:
    """Once in each pool child."""
    metrics.keep_to_this_process()
    forget_pool()
    carry_context()
    allow_processes()
    renew()


@celery_app.task(name=RUN_TASK, acks_late=False, ignore_result=True)
def run(task_id: str, attempt: int) -> None:
    """Perform one attempt of a task, if the wake-up for it is still good. `workers/broker/message_check` has looked at its mark."""
    # In a context of its own, since an agent may set variables there.
    contextvars.copy_context().run(_run, task_id, attempt)


def _run(task_id: str, attempt: int) -> None:
    bound = structlog.contextvars.bound_contextvars(task_id=task_id, attempt=attempt)
    with bound, ending_lines(), Interrupts() as interrupts, kept():
        try:
            if board().is_leaving:
                # Not begun only to be handed over at once.
                log.info("wakeup_given_back")
                runtime().ledger.propose_unheard(task_id, attempt)
                return
            perform(runtime(), agents(), interrupts, task_id, attempt)
        except BaseException:
            # The lease is not extended any more, so the sweep gives the task its next attempt.
            log.exception("run_broke")


def perform(
    rt: Runtime, known: dict[str, AgentSpec], interrupts: Interrupts, task_id: str, attempt: int
) -> TaskStatus | None:
    """Claim the task, run its agent and write how it ended. Returns what the task became, None if that is unknown."""
    claimed_at = time.monotonic()
    try:
        claim = rt.runs.claim(task_id, attempt, f"{socket.gethostname()}:{os.getpid()}", known)
    except Unavailable as away:
        log.warning("claim_postponed", reason=away.message)
        return None
    if claim is None:
        log.info("wakeup_is_stale")
        return None
    log.info("run_started", kind=claim.kind, instance_id=claim.instance_id)
    live = LiveProgress(claim, rt.settings.progress_rate)

    def last_words(ending: Ending) -> TaskStatus | None:
        return settle(rt, claim, live, None, ending)

    with Pulse(claim, claimed_at, impatient(rt), rt.settings, interrupts, live, slot(), last_words) as pulse:
        holding = hold_on(claim, rt, pulse, live)
        result, ending = run_agent(known.get(claim.kind), claim, rt, pulse, live, holding)
        pulse.wind_up()
        became = settle(rt, claim, live, result, ending, holding.hold)
        RUN_SECONDS.labels(became.value if became else "unknown").observe(time.monotonic() - claimed_at)
        return became


def run_agent(
    spec: AgentSpec | None, claim: Claim, rt: Runtime, pulse: Pulse, live: LiveProgress, holding: Holding
) -> tuple[Any, Ending | None]:
    """Call the agent. Returns its result, or how the run is to end instead."""
    if spec is None:
        waited = f"none that does took it within {rt.settings.kind_patience:g} s"
        message = f"This worker has no agent of kind {claim.kind!r}, and {waited}"
        return None, Ending(End.FAIL, {"code": "unknown_kind", "message": message})
    given = read_input(spec, claim.input)
    if isinstance(given, Ending):
        return None, given
    ctx = Context(claim, holding, rt.settings, pulse, live)
    try:
        result = encode(pulse.call(spec.function, ctx, given), rt.settings)
    except RunStopped as stopped:
        return None, ctx.ending or stopped.ending
    except BaseException as fault:
        if ctx.ending is None:
            log_fault(log, "agent_failed", fault)
        return None, ctx.ending or judge(fault, claim, rt.settings, overtime=pulse.overtime, told=pulse.told)
    return result, ctx.ending


def hold_on(claim: Claim, rt: Runtime, pulse: Pulse, live: LiveProgress) -> Holding:
    """Return a run's writes, which wait for a database that takes none: of a worker that stops, in the grace it has."""

    def renew() -> None:
        with suppress(Unavailable), pulse.writing() as written:
            written(rt.runs.heartbeat(claim, *live.current()).cancel_requested)

    def may_hold() -> bool:
        return not mine.is_leaving or time.monotonic() < mine.left_at + rt.settings.shutdown_grace

    mine = slot()
    return Holding(rt.runs, rt.settings.heartbeat_seconds, may_hold, renew)


def read_input(spec: AgentSpec, given: Any) -> BaseModel | Ending:
    """Check a task's input once more with the agent's own model: it may have changed since the submission."""
    try:
        return spec.input_model.model_validate(given)
    except ValidationError as invalid:
        finding = invalid.errors(include_url=False, include_context=False, include_input=False)[0]
        field = "input" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in finding["loc"])
        error = {"code": "invalid_input", "message": tell(f"{field}: {finding['msg']}"), "field": tell(field)}
    except Exception as fault:  # a model may have validators that raise anything
        error = describe(fault, code="invalid_input")
    return Ending(End.FAIL, error)


def judge(fault: BaseException, claim: Claim, limits: Settings, *, overtime: bool, told: bool = False) -> Ending:
    """Decide what an error outside of any step means: as many tries as a step would have had, then the end."""
    if overtime or isinstance(fault, SoftTimeLimitExceeded):
        return OVERTIME
    error: Error = describe(fault)
    if told and not isinstance(fault, PermanentError):
        return SHUT_DOWN
    failures = claim.failures + 1
    if isinstance(fault, PermanentError) or failures >= limits.step_tries:
        return Ending(End.FAIL, error)
    return Ending(End.RETRY, error, delay=pause(fault, failures, limits), outside_steps=True)


def settle(
    rt: Runtime, claim: Claim, live: LiveProgress, result: Any, ending: Ending | None, hold: Hold = at_once
) -> TaskStatus | None:
    """Write the end of a run, by `hold`. Returns what the task became, or None when it was not ours to end."""
    try:
        became = _write_end(rt, claim, live, result, ending, hold)
    except LeaseLost:
        became = None
    except Unavailable as away:
        log.error("end_not_written", reason=away.message)
        return None
    except SQLAlchemyError as fault:
        became = _settle_fault(rt, claim, internal(fault, claim.attempt, rt.settings))
    except Exception:
        # The store refused the end as it was; a task that fails is better than one that is run again and again.
        log.exception("end_refused")
        became = rt.runs.fail(claim, {"code": "internal", "message": "The end of the run could not be stored"})
    log.info("run_ended", became=became, how=ending.how.value if ending else "complete")
    return became


def _settle_fault(rt: Runtime, claim: Claim, ending: Ending) -> TaskStatus | None:
    """Write instead that the database refused the end; if it refuses that as well, the lease runs out."""
    try:
        if ending.how is End.FAIL:
            return rt.runs.fail(claim, ending.error)
        return rt.runs.retry_later(claim, ending.error, ending.delay)
    except (SwallowtailError, SQLAlchemyError) as fault:
        log.error("end_not_written", reason=type(fault).__name__)
        return None


def _write_end(
    rt: Runtime, claim: Claim, live: LiveProgress, result: Any, ending: Ending | None, hold: Hold
) -> TaskStatus | None:
    if ending is not None and ending.how is End.GONE:
        return None
    pending = live.take_pending()
    if pending is not None:
        hold(lambda: rt.runs.heartbeat(claim, *pending))
    became: TaskStatus = hold(lambda: _end(rt, claim, result, ending))
    return became


def _end(rt: Runtime, claim: Claim, result: Any, ending: Ending | None) -> TaskStatus:
    if ending is None:
        return rt.runs.complete(claim, result)
    if ending.how in (End.RETRY, End.HAND_OVER):
        return rt.runs.retry_later(claim, ending.error, ending.delay, outside_steps=ending.outside_steps)
    if ending.how is End.FAIL:
        return rt.runs.fail(claim, ending.error)
    if ending.how is End.CANCEL:
        return rt.runs.cancelled(claim)
    rt.ledger.propose_lost(claim.task_id, claim.attempt, ending.error)
    return TaskStatus.RETRYING
