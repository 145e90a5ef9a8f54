"""The context that an agent receives, as agents see it.

A worker's context is `swallowtail.workers.run.context.RunContext`, and that of tests `swallowtail.testing.FakeContext`.
This module imports no library: agents can be imported where no server is installed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any


class Context(ABC):
    """An agent's access to its run. Start steps in the thread that called the agent; other threads may stream text.

    Attributes:
        task_id: id of the task.
        instance_id: id of the task's instance.
        attempt: 1 for the task's first run, and so on.
        logger: a structured logger that names the task.
    """

    task_id: str
    instance_id: str
    attempt: int
    logger: Any

    @abstractmethod
    def step(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        agent: str = "Agent",
        action: str = "work",
        progress: float | None = None,
        message: str | None = None,
        tries: int | None = None,
    ) -> Any:
        """Perform `fn(*args)` as a step, or return the output that was saved when it was performed before.

        Args:
            key: names the step within its task; at most 200 characters, each used once.
            fn: the work; its output must have a JSON form of at most `max_output_bytes` and `max_json_depth` levels.
            agent: who performs it, such as `ContentCreator`.
            action: what is done, such as `generate_content`.
            progress: percent of the task that is done once this step is.
            message: text that clients show then.
            tries: how often to try, each in a run of its own; `step_tries` by default.

        When the soft time limit passes, `fn` gets Celery's SoftTimeLimitExceeded, once. It may catch that and return
        what it has: the run goes on, and must end before the hard limit. Any exception from then on fails the task.

        Returns:
            The output after a round trip through JSON: models are dicts, tuples are lists.

        Raises:
            RunStopped: the step failed (its task is tried again, or has failed), or the run has to end.
        """

    @abstractmethod
    def skip(self, key: str, agent: str, action: str, reason: str) -> None:
        """Record that a step is not needed, and why. Raises RunStopped when the run has to end."""

    @abstractmethod
    def progress(self, percent: float, message: str = "") -> None:
        """Report how far the task is, 0 to 100; within an attempt it never decreases. Raises RunStopped."""

    @abstractmethod
    def text(self, chunk: str) -> None:
        """Stream a piece of the open step's text to the clients that watch the task; the output must hold all of it.

        Text that may be the beginning of a secret is held back until the next piece. Raises RunStopped, or RuntimeError
        if no step is open or the one that this thread was started in is over.
        """

    @abstractmethod
    def check(self) -> None:
        """Raise RunStopped if the run has to end. Call it in long loops, so that a cancelled run ends at once."""
