"""The `probe` agent: performs steps of a chosen length that succeed or fail, for operators and for tests."""

from __future__ import annotations

import sys
import time
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from swallowtail.context import Context
from swallowtail.workers.registry.declaration import agent
from swallowtail.workers.run.outcomes import PermanentError

#: Longest sleep between two checks for a cancel request, in seconds.
CHECK_INTERVAL = 0.1


class ProbeError(Exception):
    """The failure that the input asks for; another try may succeed."""


class ProbeInput(BaseModel):
    """The number and length of steps, and their failures."""

    model_config = ConfigDict(extra="forbid")

    steps: int = Field(3, title="Steps", ge=1, le=1000, description="How many steps to perform.")
    seconds: float = Field(0.0, title="Seconds per step", ge=0, le=3600, description="How long each step takes.")
    updates: int = Field(
        0, title="Progress updates per step", ge=0, le=10_000, description="Live progress messages sent in each step."
    )
    fail_at: int | None = Field(
        None, title="Fail at step", ge=1, le=1000, description="The step that fails, from 1; leave out for none."
    )
    failures: int = Field(
        1,
        title="Failures",
        ge=1,
        le=1000,
        description="How many attempts of the task, from the first, fail at that step.",
    )
    error: Literal["exception", "permanent", "exit", "memory"] = Field(
        "exception",
        title="Kind of failure",
        description="exception: tried again; permanent: not tried again; exit: sys.exit; memory: MemoryError.",
    )
    output_bytes: int = Field(
        0, title="Output bytes", ge=0, le=10_000_000, description="Size of filler text in each step's output."
    )
    text_bytes: int = Field(0, title="Text bytes", ge=0, le=1_000_000, description="Text streamed in each step.")
    blocking: bool = Field(
        False, title="Blocking", description="Sleep in one piece and ignore cancellation, as a blocked agent would."
    )

    @model_validator(mode="after")
    def _fail_at_a_step(self) -> ProbeInput:
        if self.fail_at is not None and self.fail_at > self.steps:
            raise ValueError(f"fail_at: there are only {self.steps} steps")
        return self


@agent(kind="probe", title="Probe", input=ProbeInput, version="1")
def run(ctx: Context, task_input: ProbeInput) -> Any:
    """Performs steps of a chosen length and output, and fails where asked. Use it to try out a deployment."""
    for number in range(1, task_input.steps + 1):
        ctx.step(
            f"step-{number}",
            perform,
            ctx,
            task_input,
            number,
            agent="Probe",
            action="work",
            progress=100 * number / task_input.steps,
            message=f"Step {number} of {task_input.steps} is done",
        )
    return {"steps": task_input.steps, "attempt": ctx.attempt}


def perform(ctx: Context, task_input: ProbeInput, number: int) -> dict[str, Any]:
    """Perform one step: take the time, report progress, then fail or return."""
    if task_input.blocking:
        time.sleep(task_input.seconds)
    else:
        _work(ctx, task_input, number)
    for start in range(0, task_input.text_bytes, 64):
        ctx.text("." * min(64, task_input.text_bytes - start))
    if number == task_input.fail_at and ctx.attempt <= task_input.failures:
        _fail(task_input, number)
    output: dict[str, Any] = {"step": number}
    if task_input.output_bytes:
        output["filler"] = "x" * task_input.output_bytes
    return output


def _work(ctx: Context, task_input: ProbeInput, number: int) -> None:
    """Sleep in short intervals, so that a cancel request or a lost lease ends the step soon."""
    parts = max(task_input.updates, 1)
    for part in range(1, parts + 1):
        until = time.monotonic() + task_input.seconds / parts
        while (left := until - time.monotonic()) > 0:
            ctx.check()
            time.sleep(min(left, CHECK_INTERVAL))
        ctx.check()
        if task_input.updates:
            done = 100 * (number - 1 + part / parts) / task_input.steps
            ctx.progress(done, f"Step {number} of {task_input.steps}: update {part} of {parts}")


def _fail(task_input: ProbeInput, number: int) -> None:
    text = f"step {number} fails, as asked"
    if task_input.error == "permanent":
        raise PermanentError(text, code="probe")
    if task_input.error == "exit":
        sys.exit(3)
    if task_input.error == "memory":
        raise MemoryError(text)
    raise ProbeError(text)
