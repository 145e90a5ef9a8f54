"""An invalid step is refused before its work is done."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from typing import Any, NoReturn

import pytest

from swallowtail.workers.run.outcomes import OutcomeKind
from tests.harness.tasks.event_lines import steps
from tests.workers.conftest import Harness
from tests.workers.run.test_context import CLAIMED, outcome_of


def never() -> NoReturn:
    raise AssertionError("the work was done")


async def later() -> int:
    return 1


async def pieces() -> AsyncIterator[int]:
    yield 1


class Later:
    async def __call__(self) -> int:
        return 1


class Ill:
    def __float__(self) -> NoReturn:
        raise LookupError


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"progress": math.nan}, "a step's progress must be a number from 0 to 100"),
        ({"progress": "50"}, "a step's progress must be a number from 0 to 100"),
        ({"progress": b"50"}, "a step's progress must be a number from 0 to 100"),
        ({"progress": [50]}, "a step's progress must be a number from 0 to 100"),
        ({"progress": Ill()}, "a step's progress must be a number from 0 to 100"),
        ({"progress": 1j}, "a step's progress must be a number from 0 to 100"),
        ({"tries": 0}, "a step's tries must be a whole number from 1"),
        ({"tries": "3"}, "a step's tries must be a whole number from 1"),
        ({"tries": 1.5}, "a step's tries must be a whole number from 1"),
        ({"agent": "a\nb"}, "a step's agent must be 1 to 100 printable characters"),
        ({"action": "a\u202eb"}, "a step's action must be 1 to 100 printable characters"),
    ],
)
def test_it_is_refused_before_it_starts(harness: Harness, asked: dict[str, Any], message: str) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    outcome = outcome_of(ctx.step, "make", never, **asked)
    assert (outcome.kind, outcome.error) == (OutcomeKind.FAIL, {"code": "bad_step", "message": message})
    assert harness.story() == CLAIMED


@pytest.mark.parametrize("fn", [later, pieces, Later(), partial(later)])
def test_a_coroutine_function_is_refused_with_what_to_write_instead(harness: Harness, fn: Any) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    outcome = outcome_of(ctx.step, "make", fn)
    assert outcome.error["code"] == "bad_step"
    assert "lambda: asyncio.run(fn(…))" in outcome.error["message"]
    assert harness.story() == CLAIMED


@pytest.mark.filterwarnings("error")
def test_a_coroutine_that_was_not_run_is_named_as_such(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    outcome = outcome_of(ctx.step, "make", lambda: later())
    assert outcome.kind is OutcomeKind.FAIL
    assert outcome.error["message"] == "the output is a coroutine that was not run; return `asyncio.run(…)`"


def test_a_coroutine_may_be_run_in_a_step(harness: Harness) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    assert ctx.step("make", lambda: asyncio.run(later())) == 1


@pytest.mark.parametrize("progress", [50, 50.5, Decimal(50), True, 1000])
def test_numbers_of_every_kind_are_progress(harness: Harness, progress: Any) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    ctx.step("make", lambda: 1, progress=progress)
    assert harness.events[-1].data["progress"] == min(float(progress), 100.0)


@pytest.mark.parametrize("percent", [math.nan, "50", None])
def test_live_progress_that_is_not_a_number_fails_the_task_without_retry(harness: Harness, percent: Any) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    outcome = outcome_of(ctx.step, "make", ctx.progress, percent)
    assert (outcome.kind, outcome.error["code"]) == (OutcomeKind.FAIL, "bad_step")


@pytest.mark.parametrize(
    "name",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f469\u200d\U0001f4bb",
        "12\u00a0km",
        "\u7d71\u3000\u8a08",
    ],
    ids=["Persian", "emoji", "no-break space", "ideographic space"],
)
def test_names_may_be_written_as_people_write_them(harness: Harness, name: str) -> None:
    ctx = harness.context(harness.claim(harness.submit()))
    ctx.step(name, lambda: 1, agent=name, action=name)
    assert harness.story() == [*CLAIMED, *steps(1, name)]
