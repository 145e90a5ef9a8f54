"""The steps of a context, on the real ledger."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from swallowtail.app.core.services import tasks as task_service
from swallowtail.context import Context
from swallowtail.signals import step_started
from swallowtail.workers.run.outcomes import WORKER_STOPPED, OutcomeKind, PermanentError, RunOutcome, RunStopped
from tests.harness.tasks.event_lines import steps
from tests.workers.conftest import Harness

CLAIMED = ["SUBMITTED", "QUEUED", "1: IN_PROGRESS"]


def fail(error: BaseException) -> NoReturn:
    raise error


def outcome_of(call: Callable[..., Any], *args: Any, **named: Any) -> RunOutcome:
    """Return the outcome with which a call of the context stops the run."""
    with pytest.raises(RunStopped) as stopped:
        call(*args, **named)
    return stopped.value.outcome


def test_a_step_gives_its_output_as_json_gives_it_back(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    assert ctx.step("make", lambda: {"pair": (1, Decimal("2.5")), "text": "a\x00b"}) == {
        "pair": [1, "2.5"],
        "text": "a\ufffdb",
    }
    assert harness.story() == [*CLAIMED, *steps(1, "make")]


def test_a_finished_step_is_not_performed_again(harness: Harness) -> None:
    task_id = harness.submit()
    harness.context(harness.claim(task_id)).step("make", lambda: [1, 2], progress=40, message="Made")
    harness.rt.proposals.lost(task_id, 1, {"code": "worker_lost", "message": "Lost"})
    again = harness.context(harness.claim(task_id, 2))
    assert again.attempt == 2
    assert again.step("make", lambda: fail(AssertionError("performed again"))) == [1, 2]
    assert harness.story()[len(CLAIMED) :] == [
        *steps(1, "make"),
        "1: 40%",
        "1: RETRYING worker_lost",
        "1: QUEUED",
        "2: IN_PROGRESS",
    ]


def test_a_failed_try_is_retried_after_a_pause_that_doubles(make_harness: Callable[..., Harness]) -> None:
    harness = make_harness(backoff_base=2.0, backoff_max=3.0)
    task_id = harness.submit()
    delays = []
    for attempt in (1, 2):
        claim = harness.claim(task_id, attempt)
        outcome = outcome_of(harness.context(claim).step, "make", fail, LookupError("no luck"))
        assert outcome.kind is OutcomeKind.RETRY
        assert outcome.error == {
            "code": "exception",
            "message": "no luck",
            "type": "LookupError",
            "step": "make",
            "tries": attempt,
        }
        delays.append(outcome.delay)
        harness.rt.runs.retry_later(claim, outcome.error, 0.0)
    assert 0 <= delays[0] <= 2.0
    assert 0 <= delays[1] <= 3.0
    last = outcome_of(harness.context(harness.claim(task_id, 3)).step, "make", fail, LookupError("no luck"))
    assert last.kind is OutcomeKind.FAIL
    assert last.error["tries"] == 3


def test_tries_can_be_chosen_for_a_step(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    assert outcome_of(ctx.step, "make", fail, LookupError(), tries=1).kind is OutcomeKind.FAIL


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PermanentError("no such page", code="no_such_page"), "no_such_page", "no such page"),
        (PermanentError("bad\x00 text"), "permanent", "bad\ufffd text"),
        (SoftTimeLimitExceeded(), "soft_time_limit", "The soft time limit was exceeded"),
    ],
)
def test_some_errors_are_final(harness: Harness, error: BaseException, code: str, message: str) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    outcome = outcome_of(ctx.step, "make", fail, error)
    assert (outcome.kind, outcome.error["code"], outcome.error["message"]) == (OutcomeKind.FAIL, code, message)
    assert harness.story() == [*CLAIMED, "1: make in_progress", f"1: make failed {code}"]


def test_an_error_after_the_soft_limit_is_the_soft_limit(harness: Harness) -> None:
    interrupts = harness.interrupts()
    ctx = harness.context(harness.claim(harness.submit()), interrupts=interrupts)
    interrupts.state.timed_out = True
    assert outcome_of(ctx.step, "make", fail, LookupError()).error["code"] == "soft_time_limit"


def test_an_agent_that_catches_the_soft_limit_may_finish(harness: Harness) -> None:
    interrupts = harness.interrupts()
    ctx = harness.context(harness.claim(harness.submit()), interrupts=interrupts)
    interrupts.state.timed_out = True
    assert ctx.step("make", lambda: "what there is so far") == "what there is so far"


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), MemoryError(), RecursionError(), GeneratorExit()]
)
def test_no_exception_of_a_step_is_too_strange(harness: Harness, error: BaseException) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    outcome = outcome_of(ctx.step, "make", fail, error)
    assert (outcome.kind, outcome.error["type"]) == (OutcomeKind.RETRY, type(error).__name__)


def test_an_exception_that_cannot_be_printed_is_reported_by_its_class(harness: Harness) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    ctx = harness.context(harness.claim(harness.submit()))
    assert outcome_of(ctx.step, "make", fail, Mute()).error["message"] == "Mute"


@pytest.mark.parametrize(
    ("output", "code"), [(object(), "not_json"), (2**70, "not_json"), ("x" * 2000, "output_too_large")]
)
def test_an_output_that_cannot_be_saved_fails_the_step(
    make_harness: Callable[..., Harness], output: object, code: str
) -> None:
    harness = make_harness(max_output_bytes=1024)
    ctx = harness.context(harness.claim(harness.submit()))
    outcome = outcome_of(ctx.step, "make", lambda: output)
    assert (outcome.kind, outcome.error["code"]) == (OutcomeKind.FAIL, code)
    assert harness.story()[-1] == f"1: make failed {code}"


def test_an_object_that_contains_itself_is_not_json(harness: Harness) -> None:
    loop: list[Any] = []
    loop.append(loop)
    ctx = harness.context(harness.claim(harness.submit()))
    assert outcome_of(ctx.step, "make", lambda: loop).error["code"] == "not_json"


@pytest.mark.parametrize("key", ["", "x" * 201, "two\nlines", 7])
def test_a_step_needs_a_usable_key(harness: Harness, key: Any) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    assert outcome_of(ctx.step, key, lambda: 1).error["code"] == "bad_step"
    assert harness.story() == CLAIMED


def test_a_key_is_used_once_in_a_run_replayed_or_not(harness: Harness) -> None:
    task_id = harness.submit()
    ctx = harness.context(harness.claim(task_id))
    ctx.step("make", lambda: 1)
    assert outcome_of(ctx.step, "make", lambda: 2).error["code"] == "bad_step"
    harness.rt.proposals.lost(task_id, 1, {"code": "worker_lost", "message": "Lost"})
    again = harness.context(harness.claim(task_id, 2))
    again.step("make", lambda: 1)
    assert outcome_of(again.step, "make", lambda: 2).error["code"] == "bad_step"


def test_steps_may_hold_steps(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    assert ctx.step("outer", lambda: [ctx.step("inner", lambda: 1), 2]) == [1, 2]
    outcome = outcome_of(ctx.step, "failing", lambda: ctx.step("deep", fail, LookupError("deep down")))
    assert (outcome.kind, outcome.error["step"]) == (OutcomeKind.RETRY, "deep")


def test_the_end_of_a_run_cannot_be_swallowed(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    first = outcome_of(ctx.step, "make", fail, LookupError())
    for call in (lambda: ctx.step("other", lambda: 1), lambda: ctx.progress(5), ctx.check, lambda: ctx.text("x")):
        assert outcome_of(call) is first
    assert ctx.outcome is first


def test_a_cancelled_run_stops_at_its_next_call(harness: Harness) -> None:
    task_id = harness.submit()
    ctx = harness.context(harness.claim(task_id))

    def cancel_meanwhile() -> str:
        task_service.cancel(harness.rt, task_id)
        return "done"

    # The running step is finished and saved; no further step is started.
    assert outcome_of(ctx.step, "make", cancel_meanwhile).kind is OutcomeKind.CANCEL
    assert harness.story() == [*CLAIMED, "1: make in_progress", "1: cancel requested", "1: make completed"]


def test_a_run_without_its_lease_writes_nothing(harness: Harness) -> None:
    task_id = harness.submit()
    ctx = harness.context(harness.claim(task_id))

    def lose_meanwhile() -> str:
        harness.rt.proposals.lost(task_id, 1, {"code": "worker_lost", "message": "Lost"})
        return "too late"

    assert outcome_of(ctx.step, "make", lose_meanwhile).kind is OutcomeKind.ABANDON
    assert harness.story()[-1] == "1: RETRYING worker_lost"


def test_a_step_that_the_worker_leaves_open_is_left_to_the_ledger(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    assert outcome_of(ctx.step, "make", fail, RunStopped(WORKER_STOPPED)) is WORKER_STOPPED
    assert harness.story() == [*CLAIMED, "1: make in_progress"]


def test_a_skipped_step_is_remembered(harness: Harness) -> None:
    task_id = harness.submit()
    harness.context(harness.claim(task_id)).skip("review", "Editor", "review", "nothing to review")
    harness.rt.proposals.lost(task_id, 1, {"code": "worker_lost", "message": "Lost"})
    harness.context(harness.claim(task_id, 2)).skip("review", "Editor", "review", "nothing to review")
    assert harness.story()[len(CLAIMED) :] == [
        "1: review skipped",
        "1: RETRYING worker_lost",
        "1: QUEUED",
        "2: IN_PROGRESS",
    ]


def test_an_observer_that_raises_breaks_no_step_and_is_logged(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    def observe(sender: object, **_: object) -> None:
        raise LookupError("the observer broke")

    step_started.connect(observe)
    try:
        ctx: Context = harness.context(harness.claim(harness.submit()))
        assert ctx.step("make", lambda: 1) == 1
    finally:
        step_started.disconnect(observe)
    assert "the observer broke" in caplog.text
