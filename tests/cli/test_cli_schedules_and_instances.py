"""The commands for schedules, agents and instances."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, open_command_line

ANONYMOUS = "00000000-0000-4000-8000-000000000000"
ADD = ("schedule", "add", "Morning", "echo", "--instance", "demo", "--set", "message=hello")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    with open_command_line(tmp_path, monkeypatch) as cli:
        yield cli


def test_a_schedule_is_added_listed_paused_resumed_and_removed(cli: CommandLine) -> None:
    options = ("--cron", "30 9 * * MON-FRI", "--timezone", "Europe/Berlin", "--catch-up", "all", "--overlap", "skip")
    (added,) = cli.lines(*ADD, *options)

    assert (added["cron"], added["timezone"], added["catch_up"], added["overlap"]) == (
        "30 9 * * MON-FRI",
        "Europe/Berlin",
        "all",
        "skip",
    )
    del added["input"]
    assert cli.lines("schedule", "list", "demo") == [added]
    assert "30 9 * * MON-FRI (Europe/Berlin)" in cli.run("schedule", "list", "demo").stdout
    assert cli.lines("schedule", "pause", added["id"])[0]["paused"] is True
    assert "paused" in cli.run("schedule", "list", "demo").stdout
    (resumed,) = cli.lines("schedule", "resume", added["id"])
    assert {**added, "input": resumed["input"]} == resumed
    assert cli.run("schedule", "remove", added["id"]).exit_code == 0
    assert cli.run("schedule", "list", "demo").stdout == "no schedules\n"


def test_intervals_and_one_offs(cli: CommandLine) -> None:
    (every,) = cli.lines(*ADD, "--every", "15m")
    once = cli.run("schedule", "add", "Later", *ADD[3:], "--at", "2999-01-01T00:00:00+01:00")

    assert every["interval_seconds"] == 900
    assert once.exit_code == 0
    (later, _) = cli.lines("schedule", "list", "demo")
    assert (once.stdout, later["run_at"]) == (later["id"] + "\n", "2998-12-31T23:00:00.000Z")
    assert "every 15m" in cli.run("schedule", "list", "demo").stdout


def test_the_id_of_a_schedule_with_a_long_name_is_printed_whole(cli: CommandLine) -> None:
    (added,) = cli.lines("schedule", "add", "A long name " * 12, *ADD[3:], "--cron", "30 9 * * MON-FRI")
    assert added["id"] in cli.run("schedule", "list", "demo").stdout


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "exactly one of"),
        (["--cron", "* * * * *", "--every", "5m"], 2, "exactly one of"),
        (["--cron", "* * * *"], 2, "--cron must have five fields"),
        (["--cron", "61 * * * *"], 2, "--cron is not valid: bad minute"),
        (["--cron", "* * * * *", "--timezone", "Mars"], 2, "--timezone: there is no time zone 'Mars'"),
        (["--every", "often"], 2, "--every: must be a number of seconds"),
        (["--every", "0.2"], 2, "--every must be at least 1"),
        (["--at", "tomorrow"], 2, "--at: must be a time"),
        (["--at", "2000-01-01T00:00:00Z"], 2, "--at must be in the future"),
        (["--every", "5m", "--catch-up", "some"], 2, "--catch-up: must be 'skip', 'latest' or 'all'"),
        (["--every", "5m", "--overlap", "some"], 2, "--overlap: must be 'allow' or 'skip'"),
        (["--every", "5m", "--set", "times=x"], 2, "--set times: "),
        (["--every", "5m", "--instance", "nobody"], 6, "there is no such instance"),
    ],
)
def test_a_bad_schedule_is_refused_in_one_line(cli: CommandLine, options: list[str], code: int, message: str) -> None:
    result = cli.run(*ADD, *options)

    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert cli.lines("schedule", "list", "demo") == []


def test_a_name_twice_is_a_conflict_and_an_unknown_schedule_not_found(cli: CommandLine) -> None:
    assert [cli.run(*ADD, "--every", "5m").exit_code for _ in range(2)] == [0, 7]
    for command in ("pause", "resume", "remove"):
        assert cli.run("schedule", command, ANONYMOUS).exit_code == 6
        assert cli.run("schedule", command, "1").exit_code == 2


def test_slots_are_listed_with_their_outcome(cli: CommandLine) -> None:
    plan = cli.bench.add("08:00:00", interval_seconds=60, overlap="skip")["id"]
    assert cli.run("schedule", "slots", plan).stdout == "no slots yet\n"
    cli.bench.fire("08:01:00")
    cli.bench.fire("08:02:00")

    later, first = cli.lines("schedule", "slots", plan)
    assert (first["planned_at"], first["outcome"]) == ("2026-06-01T08:01:00.000Z", "fired")
    assert (later["outcome"], later["reason"]) == ("skipped", f"task {first['task_id']} is still SUBMITTED")
    assert later["reason"] in cli.run("schedule", "slots", plan).stdout
    assert cli.run("schedule", "slots", ANONYMOUS).exit_code == 6


def test_agents_are_listed_and_shown_with_the_fields_of_their_input(cli: CommandLine) -> None:
    assert [card["kind"] for card in cli.lines("agents")] == ["echo", "writer"]
    table = cli.run("agents").stdout
    assert "Writes." in table
    assert "Second line" not in table
    assert "What to write about." in cli.run("agents", "writer").stdout


def test_an_agent_is_shown_with_types_defaults_and_an_example_that_works(cli: CommandLine) -> None:
    *_, heading, example = cli.run("agents", "echo").stdout.splitlines()
    assert (heading, example) == ("Example:", "  swallowtail enqueue echo --instance demo --set message=text")
    assert cli.run(*shlex.split(example)[1:]).exit_code == 0
    fields = [line.split() for line in cli.run("agents", "writer").stdout.splitlines()]
    assert ["brand.grade", "number"] in fields
    assert ["platforms", "array", "of", "strings"] in fields
    assert cli.run("agents", "writer").stdout.endswith("swallowtail enqueue writer --instance demo --input brief.md\n")


def test_instances_are_created_and_listed(cli: CommandLine) -> None:
    creation = cli.run("instances", "create", "Acme Ltd", "--id", "acme")

    assert (creation.exit_code, creation.stdout) == (0, "acme\n")
    assert [one["id"] for one in cli.lines("instances")] == ["acme", "demo"]
    assert "Acme Ltd" in cli.run("instances").stdout
    assert cli.run("instances", "create", "Other", "--id", "acme").exit_code == 7
    assert cli.run("instances", "create", "Other", "--id", "a b").exit_code == 2
    assert cli.run("instances", "create", "").exit_code == 2
