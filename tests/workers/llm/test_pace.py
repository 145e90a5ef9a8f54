"""The offline model streams word by word in the demo instance, and at once everywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from swallowtail.workers.agents.campaign.platforms import PLATFORMS
from swallowtail.workers.llm.offline import OfflineProvider
from swallowtail.workers.llm.pace import Pace
from swallowtail.workers.llm.provider import DraftRequest, Fact
from swallowtail.workers.run.outcomes import CANCELLED, RunStopped
from tests.harness.settings import make_settings

TEXT = "👋 Aurora One\n\n• It is silent.  It fills in\n  what is missing.\n\n#AuroraOneDeskLampForHome #Lamp"


def test_a_paced_stream_pauses_before_each_word_and_is_the_same_text() -> None:
    pauses: list[float] = []
    pieces = list(Pace(20.0, longest=60.0, sleep=pauses.append).stream(TEXT))
    assert "".join(pieces) == TEXT
    assert len(pieces) > len(TEXT.split())
    assert pauses == [0.05] * len(pieces)


def test_a_script_without_spaces_streams_in_short_pieces() -> None:
    text = "这是一盏台灯，它跟随窗外的日光，只补充缺少的光线。" * 4
    pieces = list(Pace(20.0, longest=60.0, sleep=lambda _: None).stream(text))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 12


def test_the_pauses_of_all_texts_of_a_run_together_are_limited() -> None:
    pauses: list[float] = []
    pace = Pace(2.0, longest=1.6, sleep=pauses.append)
    for _ in range(3):
        assert "".join(pace.stream(TEXT)) == TEXT
    assert pauses == [0.5] * 3


def test_an_interrupted_pause_ends_the_stream() -> None:
    def cancel(_: float) -> None:
        raise RunStopped(CANCELLED)

    with pytest.raises(RunStopped):
        list(Pace(2.0, longest=60.0, sleep=cancel).stream(TEXT))


@pytest.mark.parametrize(
    ("instance", "options", "paused"),
    [
        ("demo", {"demo_words_per_second": 15}, True),
        ("acme", {"demo_words_per_second": 15}, False),
        ("demo", {"demo_words_per_second": 0}, False),
        ("acme", {"demo_words_per_second": 15, "demo_instance": "acme"}, True),
        ("demo", {"demo_words_per_second": 15, "demo_instance": ""}, False),
    ],
)
def test_only_the_demo_instance_is_paced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: str, options: dict[str, object], paused: bool
) -> None:
    pauses: list[float] = []
    pace = Pace.of_run(instance, make_settings(var_dir=tmp_path, **options))
    monkeypatch.setattr(pace, "_sleep", pauses.append)
    assert "".join(pace.stream(TEXT)) == TEXT
    assert bool(pauses) is paused


def test_the_offline_model_writes_the_same_post_at_any_pace() -> None:
    request = DraftRequest(PLATFORMS["linkedin"], "Aurora One", (Fact("It is silent."), Fact("It has no fan.", 1)))
    paced = OfflineProvider(Pace(1000.0, longest=60.0, sleep=lambda _: None))
    assert "".join(paced.draft(request)) == "".join(OfflineProvider().draft(request))
