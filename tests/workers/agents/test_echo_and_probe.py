"""The steps of the agents `echo` and `probe`, and the failures of a probe."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from swallowtail.testing import FakeContext
from swallowtail.workers.agents import echo, probe
from swallowtail.workers.run.outcomes import PermanentError, RunStopped


def run_probe(ctx: FakeContext, **fields: Any) -> Any:
    return probe.run(ctx, probe.ProbeInput(**fields))


def test_echo_gives_back_its_input_in_two_steps() -> None:
    ctx = FakeContext()
    task_input = echo.EchoInput(message="Grüße 👋\nline two", data={"list": [1, None, {"deep": True}]})
    assert echo.run(ctx, task_input) == {"message": "Grüße 👋\nline two", "data": {"list": [1, None, {"deep": True}]}}
    assert ctx.summary == [("listen", "Echo", "listen", "completed"), ("repeat", "Echo", "repeat", "completed")]
    assert [step.progress for step in ctx.steps] == [50, 100]


def test_echo_leaves_out_what_was_left_out() -> None:
    assert echo.run(FakeContext(), echo.EchoInput(message="hi")) == {"message": "hi"}


def test_a_probe_performs_its_steps_with_even_progress() -> None:
    ctx = FakeContext()
    assert run_probe(ctx, steps=4) == {"steps": 4, "attempt": 1}
    assert ctx.summary == [(f"step-{number}", "Probe", "work", "completed") for number in (1, 2, 3, 4)]
    assert [step.progress for step in ctx.steps] == [25, 50, 75, 100]
    assert [step.output for step in ctx.steps] == [{"step": number} for number in (1, 2, 3, 4)]


def test_a_probe_reports_live_progress_that_never_goes_back() -> None:
    ctx = FakeContext()
    run_probe(ctx, steps=2, updates=5)
    percents = [percent for percent, _ in ctx.live]
    assert percents == pytest.approx([10, 20, 30, 40, 50, 60, 70, 80, 90, 100])


def test_a_probe_makes_output_and_streams_text_of_the_requested_size() -> None:
    ctx = FakeContext()
    run_probe(ctx, steps=1, output_bytes=1000, text_bytes=200)
    assert len(ctx.steps[0].output["filler"]) == 1000
    assert [len(piece) for piece in ctx.steps[0].text] == [64, 64, 64, 8]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("exception", probe.ProbeError),
        ("permanent", PermanentError),
        ("exit", SystemExit),
        ("memory", MemoryError),
    ],
)
def test_a_probe_fails_at_the_requested_step_in_the_requested_way(kind: str, error: type[BaseException]) -> None:
    ctx = FakeContext()
    with pytest.raises(error):
        run_probe(ctx, steps=3, fail_at=2, error=kind)
    assert [step.status for step in ctx.steps] == ["completed", "failed"]


def test_a_probe_succeeds_once_its_failures_are_used_up() -> None:
    first = FakeContext()
    with pytest.raises(probe.ProbeError):
        run_probe(first, steps=2, fail_at=2, failures=1)
    second = FakeContext(journal=first.journal, attempt=2)
    assert run_probe(second, steps=2, fail_at=2, failures=1) == {"steps": 2, "attempt": 2}
    assert [step.status for step in second.steps] == ["replayed", "completed"]


def test_a_probe_notices_cancellation_while_it_sleeps() -> None:
    ctx = FakeContext(cancel_in="step-2")
    with pytest.raises(RunStopped):
        run_probe(FakeContext(cancel_in="step-1"), steps=1, seconds=3600)
    with pytest.raises(RunStopped):
        run_probe(ctx, steps=3)
    assert [step.status for step in ctx.steps] == ["completed", "failed"]


def test_a_probe_cannot_fail_at_a_step_it_does_not_have() -> None:
    with pytest.raises(ValidationError, match="fail_at: there are only 2 steps"):
        probe.ProbeInput(steps=2, fail_at=3)
