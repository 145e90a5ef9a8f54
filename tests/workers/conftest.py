"""Fixtures for runs without a worker process: the real ledger on SQLite and a context for one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.events import EventRecord, LiveState, TextPiece
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.ledger.tasks import CheckedTask
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.services.instances import create_instance
from swallowtail.signals import event_recorded, progressed, text_produced
from swallowtail.workers.run.context import RunContext
from swallowtail.workers.run.interrupts import Interrupts
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.run.run_state import RunState
from swallowtail.workers.run.shared_memory import SharedMemory
from swallowtail.workers.runtime import worker_runtime
from tests.harness.database.tables import create_tables
from tests.harness.settings import make_settings
from tests.harness.tasks.event_lines import story


@dataclass
class Harness:
    """One instance with a runtime; `events`, `live` and `text` hold everything that was recorded, in order."""

    rt: Runtime
    events: list[EventRecord] = field(default_factory=list)
    live: list[LiveState] = field(default_factory=list)
    text: list[TextPiece] = field(default_factory=list)
    memory: SharedMemory = field(default_factory=SharedMemory)

    def submit(self, kind: str = "test", task_input: Any = None) -> str:
        """Store a task, as a submission does; return its id."""
        new = CheckedTask(instance_id="demo", kind=kind, title="Test", input=task_input, fingerprint="")
        return str(self.rt.ledger.submit(new)[0].id)

    def claim(self, task_id: str, attempt: int = 1) -> Claim:
        """Claim the task, as a worker does."""
        claim = self.rt.runs.claim(task_id, attempt, "test")
        assert claim is not None
        return claim

    def interrupts(self) -> Interrupts:
        """Return the state of a new run, without signal handlers."""
        return Interrupts(RunState(self.memory.slot(0), self.rt.settings))

    def context(self, claim: Claim, **options: Any) -> RunContext:
        """Return a context for the claim."""
        interrupts = options.pop("interrupts", None) or self.interrupts()
        return RunContext(claim, self.rt.runs, self.rt.settings, interrupts, LiveProgress(claim, 10.0), **options)

    def story(self) -> list[str]:
        """Return every event as a short line."""
        return story(event.wire() for event in self.events)


@pytest.fixture(autouse=True)
def own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let receivers build their runtime in the test's directory, and close it."""
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", str(tmp_path))
    worker_runtime.settings.cache_clear()
    worker_runtime.deployment_settings.cache_clear()
    yield
    worker_runtime.close_runtime()
    worker_runtime.settings.cache_clear()
    worker_runtime.deployment_settings.cache_clear()


@pytest.fixture
def make_harness(tmp_path: Path) -> Iterator[Callable[..., Harness]]:
    """Return a factory of harnesses with their own settings."""
    harnesses: list[Harness] = []
    receivers: list[Any] = []

    def make(**settings: Any) -> Harness:
        current = make_settings(var_dir=tmp_path, **{"backoff_base": 0.01, **settings})
        rt = Runtime.build(current, publish=False)
        create_tables(rt.db.engine)
        create_instance(rt, "Demo", "demo")
        harness = Harness(rt)
        harnesses.append(harness)

        def keep_events(sender: object, events: Sequence[EventRecord]) -> None:
            harness.events.extend(events)

        def keep_live(sender: object, state: LiveState) -> None:
            harness.live.append(state)

        def keep_text(sender: object, text: TextPiece) -> None:
            harness.text.append(text)

        receivers.extend([keep_events, keep_live, keep_text])
        event_recorded.connect(keep_events, rt.db)
        progressed.connect(keep_live)
        text_produced.connect(keep_text)
        return harness

    yield make
    for harness in harnesses:
        harness.rt.close()
    for receiver in receivers:
        progressed.disconnect(receiver)
        text_produced.disconnect(receiver)


@pytest.fixture
def harness(make_harness: Callable[..., Harness]) -> Harness:
    """A harness with the default settings."""
    return make_harness()
