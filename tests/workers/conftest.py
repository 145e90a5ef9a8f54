"""A worker's inside without a worker: the real ledger on SQLite, and a watch that only does what a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.events import EventRecord, LiveState, StepText
from swallowtail.app.core.ledger.runs import Claim
from swallowtail.app.core.ledger.tasks import NewTask
from swallowtail.app.core.runtime import Runtime
from swallowtail.workers import worker_runtime
from swallowtail.workers.run.context import Context
from swallowtail.workers.run.live_progress import LiveProgress
from swallowtail.workers.signals import progressed, text_produced
from tests.fakes import FakeWatch
from tests.harness.event_lines import story
from tests.harness.tables import create_tables


@dataclass
class Inside:
    """One instance with a runtime; `events` are all that were recorded, in order."""

    rt: Runtime
    events: list[EventRecord] = field(default_factory=list)
    live: list[LiveState] = field(default_factory=list)
    text: list[StepText] = field(default_factory=list)
    watch: FakeWatch = field(default_factory=FakeWatch)

    def submit(self, kind: str = "test", given: Any = None) -> str:
        """Store a task, as a submission would; its id."""
        new = NewTask(instance_id="demo", kind=kind, title="Test", input=given, fingerprint="")
        return str(self.rt.ledger.submit(new)[0].id)

    def claim(self, task_id: str, attempt: int = 1) -> Claim:
        """Take the task as a worker would."""
        claim = self.rt.runs.claim(task_id, attempt, "test")
        assert claim is not None
        return claim

    def context(self, claim: Claim) -> Context:
        """Give a context for the claim, under the fake watch."""
        return Context(claim, self.rt.runs, self.rt.settings, self.watch, LiveProgress(claim, 10.0))

    def story(self) -> list[str]:
        """All that was recorded, short."""
        return story(event.wire() for event in self.events)


@pytest.fixture(autouse=True)
def own_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a receiver builds for this process is built in the test's directory, and closed."""
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", str(tmp_path))
    worker_runtime.settings.cache_clear()
    worker_runtime.named.cache_clear()
    yield
    worker_runtime.forget()
    worker_runtime.settings.cache_clear()
    worker_runtime.named.cache_clear()


@pytest.fixture
def make_inside(tmp_path: Path) -> Iterator[Callable[..., Inside]]:
    """Make an inside with settings of its own."""
    made: list[Inside] = []
    receivers: list[Any] = []

    def make(**settings: Any) -> Inside:
        events: list[EventRecord] = []
        chosen = Settings(_env_file=None, var_dir=tmp_path, **{"backoff_base": 0.01, **settings})
        rt = Runtime.build(chosen, announce=events.extend)
        create_tables(rt.db.engine)
        rt.ledger.create_instance("Demo", "demo")
        inside = Inside(rt, events)
        made.append(inside)

        def keep_live(state: LiveState, **_: object) -> None:
            inside.live.append(state)

        def keep_text(text: StepText, **_: object) -> None:
            inside.text.append(text)

        receivers.extend([keep_live, keep_text])
        progressed.connect(keep_live)
        text_produced.connect(keep_text)
        return inside

    yield make
    for inside in made:
        inside.rt.close()
    for receiver in receivers:
        progressed.disconnect(receiver)
        text_produced.disconnect(receiver)


@pytest.fixture
def inside(make_inside: Callable[..., Inside]) -> Inside:
    """An inside with the usual settings."""
    return make_inside()
