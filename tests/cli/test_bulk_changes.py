"""`cancel` and `retry` of several tasks: by their ids, or by filters in an instance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import CommandLine, open_command_line

ANONYMOUS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    with open_command_line(tmp_path, monkeypatch) as cli:
        yield cli


def test_several_tasks_are_cancelled_and_the_first_failure_decides_the_code(cli: CommandLine) -> None:
    first, done, last = (cli.submit("--key", name) for name in "abc")
    cli.complete(done)

    result = cli.run("cancel", first, done, ANONYMOUS, last)

    assert result.exit_code == 7
    assert result.stdout == f"{first} CANCELLED\n{last} CANCELLED\n"
    refusals = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in refusals[:2]] == [done, ANONYMOUS]
    assert refusals[2:] == ["Cancelled 2 tasks; 2 failed."]


def test_filters_select_the_tasks_and_need_a_confirmation(cli: CommandLine) -> None:
    ids = [cli.submit("--key", name) for name in "abc"]
    cli.complete(ids[1])

    refused = cli.run("cancel", "--instance", "demo", "--kind", "echo")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == "swallowtail: --instance: cancels 2 tasks; confirm it with --yes\n"
    assert cli.run("cancel", "-i", "demo", "--kind", "writer").stderr == "Cancelled 0 tasks.\n"
    lines = cli.lines("cancel", "-i", "demo", "--yes")
    assert [(line["task"]["id"], line["task"]["status"]) for line in lines] == [
        (ids[0], "CANCELLED"),
        (ids[2], "CANCELLED"),
    ]


def test_failed_tasks_are_retried_unless_the_filters_name_a_status(cli: CommandLine) -> None:
    failed, cancelled = cli.submit("--key", "a"), cli.submit("--key", "b")
    cli.fail(failed)
    cli.run("cancel", cancelled)

    assert cli.run("retry", "-i", "demo", "--yes").stdout == f"{failed} RETRYING\n"
    assert cli.run("retry", "-i", "demo", "--yes", "--status", "cancelled").stdout == f"{cancelled} RETRYING\n"


@pytest.mark.parametrize("command", ["cancel", "retry"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "TASK or --instance is required"),
        (["--status", "failed"], "TASK or --instance is required"),
        ([ANONYMOUS, "-i", "demo"], "TASK: cannot be combined with --instance"),
        ([ANONYMOUS, ANONYMOUS, "--follow"], "--follow: needs exactly one TASK"),
    ],
)
def test_a_selection_that_is_not_clear_is_refused(
    cli: CommandLine, command: str, arguments: list[str], message: str
) -> None:
    result = cli.run(command, *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True)
