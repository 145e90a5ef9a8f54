"""The agent in docs/agents.md works, and is the one in `examples/`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from swallowtail.testing import FakeContext
from swallowtail.workers.registry.catalogue import load_agents
from swallowtail.workers.run.outcomes import PermanentError
from tests.harness.settings import make_settings

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "examples" / "word_count.py"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("word_count", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "word_count", module)
    spec.loader.exec_module(module)
    return module


def test_the_example_is_found_by_the_setting(example: ModuleType) -> None:
    agents = load_agents(make_settings(agents="word_count"))
    assert agents["word_count"].function is example.run
    assert agents["word_count"].soft_time_limit == 60


def test_the_example_counts_step_by_step(example: ModuleType) -> None:
    ctx = FakeContext()
    result = example.run(ctx, example.WordCountInput(text="one two\n\nthree", shortest=4))
    assert result == {"words": 1, "paragraphs": [0, 1]}
    assert ctx.summary == [
        ("split", "Reader", "split", "completed"),
        ("count:1", "Counter", "count", "completed"),
        ("count:2", "Counter", "count", "completed"),
    ]


def test_the_example_refuses_a_text_without_paragraphs(example: ModuleType) -> None:
    with pytest.raises(PermanentError, match=r"input\.text"):
        example.run(FakeContext(), example.WordCountInput(text="\n\n\n"))


def test_the_guide_contains_the_exact_example() -> None:
    guide = (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    body = SOURCE.read_text(encoding="utf-8").split("from __future__ import annotations\n", 1)[1].strip()
    assert body in guide
