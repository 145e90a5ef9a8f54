"""The commands of whoever runs the system: what they delete, foresee and refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.desk import Desk, open_desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with open_desk(tmp_path, monkeypatch) as desk:
        yield desk


def test_pruning_says_what_would_go_and_then_what_went(desk: Desk) -> None:
    for _ in range(4):
        desk.submit()
    foreseen = desk.lines("prune", "-i", "demo", "--events", "1", "--dry-run")
    assert foreseen[0]["events"] == foreseen[0]["min_seq"] > 0
    assert foreseen == [
        {
            "instance_id": "demo",
            "events": foreseen[0]["events"],
            "tasks": 0,
            "min_seq": foreseen[0]["min_seq"],
            "dry_run": True,
        }
    ]
    assert desk.lines("prune", "-i", "demo", "--events", "1") == [{**foreseen[0], "dry_run": False}]
    again = desk.call("prune", "-i", "demo", "--events", "1")
    assert (again.exit_code, again.stdout) == (0, "0 events, 0 tasks\n")


def test_ended_tasks_go_with_their_events_and_no_others(desk: Desk) -> None:
    done, waiting = desk.submit(), desk.submit()
    desk.complete(done)
    (gone,) = desk.lines("prune", "-i", "demo", "--task-days", "0")
    assert gone["tasks"] == 1
    assert desk.call("show", done).exit_code == 6
    assert desk.call("show", waiting).exit_code == 0


def test_an_instance_that_keeps_everything_is_pruned_only_when_told_how(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.submit()
    refused = desk.call("prune", "-i", "demo")
    assert refused.exit_code == 2
    assert "this instance keeps everything" in refused.output
    monkeypatch.setenv("SWALLOWTAIL_EVENT_RETENTION_DAYS", "30")
    assert desk.call("prune", "-i", "demo").stdout == "0 events, 0 tasks\n"


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("prune", "-i", "nowhere", "--events", "1"), 6, "there is no such instance"),
        (("prune", "-i", "nowhere"), 6, "there is no such instance"),
        (("prune", "-i", "demo", "--events", "-1"), 2, "--events"),
        (("instances", "renew-epoch"), 2, "name an instance, or give --all"),
        (("instances", "renew-epoch", "demo", "--all"), 2, "name an instance, or give --all"),
        (("instances", "renew-epoch", "nowhere"), 6, "there is no such instance"),
    ],
)
def test_what_cannot_be_done_is_told(desk: Desk, arguments: tuple[str, ...], code: int, complaint: str) -> None:
    result = desk.call(*arguments)
    assert (result.exit_code, complaint in result.output) == (code, True), result.output


def test_another_epoch_is_begun_for_one_or_for_all(desk: Desk) -> None:
    desk.lines("instances", "create", "Other", "--id", "other")
    (one,) = desk.lines("instances", "renew-epoch", "demo")
    both = desk.lines("instances", "renew-epoch", "--all")
    assert [told["instance_id"] for told in both] == ["demo", "other"]
    assert both[0]["epoch"] != one["epoch"]
    assert desk.call("instances", "renew-epoch", "demo").stdout.startswith("demo ")
