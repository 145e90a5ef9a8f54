"""The operator's commands: what they delete, preview and refuse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, open_command_line


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    with open_command_line(tmp_path, monkeypatch) as cli:
        yield cli


def test_pruning_previews_and_then_reports_what_it_deletes(cli: CommandLine) -> None:
    for _ in range(4):
        cli.submit()
    foreseen = cli.lines("prune", "-i", "demo", "--events", "1", "--dry-run")
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
    assert cli.lines("prune", "-i", "demo", "--events", "1") == [{**foreseen[0], "dry_run": False}]
    again = cli.run("prune", "-i", "demo", "--events", "1")
    assert (again.exit_code, again.stdout) == (0, "0 events, 0 tasks\n")


def test_ended_tasks_are_deleted_with_their_events_and_no_others(cli: CommandLine) -> None:
    done, waiting = cli.submit(), cli.submit()
    cli.complete(done)
    (counts,) = cli.lines("prune", "-i", "demo", "--task-days", "0")
    assert counts["tasks"] == 1
    assert cli.run("show", done).exit_code == 6
    assert cli.run("show", waiting).exit_code == 0


def test_an_instance_that_keeps_everything_is_pruned_only_with_options(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.submit()
    refused = cli.run("prune", "-i", "demo")
    assert refused.exit_code == 2
    assert "this instance keeps everything" in refused.output
    monkeypatch.setenv("SWALLOWTAIL_EVENT_RETENTION_DAYS", "30")
    assert cli.run("prune", "-i", "demo").stdout == "0 events, 0 tasks\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("prune", "-i", "nowhere", "--events", "1"), 6, "there is no such instance"),
        (("prune", "-i", "nowhere"), 6, "there is no such instance"),
        (("prune", "-i", "demo", "--events", "-1"), 2, "--events"),
        (("instances", "renew-epoch"), 2, "INSTANCE or --all is required"),
        (("instances", "renew-epoch", "demo", "--all"), 2, "INSTANCE or --all is required"),
        (("instances", "renew-epoch", "nowhere"), 6, "there is no such instance"),
    ],
)
def test_an_error_is_one_line(cli: CommandLine, arguments: tuple[str, ...], code: int, message: str) -> None:
    result = cli.run(*arguments)
    assert (result.exit_code, message in result.output) == (code, True), result.output


def test_a_new_epoch_begins_for_one_instance_or_all(cli: CommandLine) -> None:
    cli.lines("instances", "create", "Other", "--id", "other")
    (one,) = cli.lines("instances", "renew-epoch", "demo")
    both = cli.lines("instances", "renew-epoch", "--all")
    assert [renewed["instance_id"] for renewed in both] == ["demo", "other"]
    assert both[0]["epoch"] != one["epoch"]
    assert cli.run("instances", "renew-epoch", "demo").stdout.startswith("demo ")
