"""The input of a task from files, standard input and options, converted by the agent's schema."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.ledger.agent_cards import register
from swallowtail.scripts.cli.task_input import parse_duration
from tests.cli.command_line import WRITER, CommandLine, open_command_line

WRITE = ("enqueue", "writer", "--instance", "demo")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    with open_command_line(tmp_path, monkeypatch) as cli:
        yield cli


def input_of(cli: CommandLine, *arguments: str, stdin: str | None = None) -> Any:
    """Return the input of the task that these arguments submit."""
    return cli.lines(*WRITE, *arguments, stdin=stdin)[0]["task"]["input"]


def test_a_document_fills_the_field_for_a_file(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "brief.md").write_text("\ufeff# Lamp\n\nÄ lamp.\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text('{"not": "json input"}', encoding="utf-8")

    assert input_of(cli, "--input", "brief.md") == {"brief": "# Lamp\n\nÄ lamp.\n"}
    assert input_of(cli, "--input", "notes.txt") == {"brief": '{"not": "json input"}'}


@pytest.mark.parametrize("content", [b"%PDF-1.7\n\xff", b"PK\x03\x04\xff", b"a\0b"])
def test_a_binary_file_fills_the_field_for_bytes(cli: CommandLine, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "brief.pdf").write_bytes(content)
    assert input_of(cli, "--input", "brief.pdf") == {"paper": base64.b64encode(content).decode()}


def test_a_json_file_is_the_whole_input_and_options_take_precedence(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "input.JSON").write_text('{"brief": "a", "rounds": 1, "brand": {"name": "A"}}', encoding="utf-8")

    assert input_of(cli, "--input", "input.JSON", "-s", "rounds=2", "-s", "brand.grade=8.5") == {
        "brief": "a",
        "rounds": 2,
        "brand": {"name": "A", "grade": 8.5},
    }


def test_standard_input_is_json_if_it_begins_with_a_brace_and_a_document_otherwise(cli: CommandLine) -> None:
    assert input_of(cli, "--input", "-", stdin=' {"brief": "a"}') == {"brief": "a"}
    assert input_of(cli, "--input", "-", stdin="A lamp.") == {"brief": "A lamp."}


def test_options_are_converted_by_the_schema(cli: CommandLine) -> None:
    settings = ("-s", "brief=123", "-s", "platforms=x, linkedin", "-s", "brand.name=true")
    assert input_of(cli, *settings) == {"brief": "123", "platforms": ["x", "linkedin"], "brand": {"name": "true"}}
    assert input_of(cli, "-s", "brief=a=b", "-s", 'platforms=["x"]') == {"brief": "a=b", "platforms": ["x"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        (b"[1]", "must contain a JSON object"),
        (b"", "is not JSON"),
        (b'{"brief": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested"),
        (b'{"brief": "a", "rounds": ' + b"9" * 5_000 + b"}", "too long"),
        (b'{"brief": "a", "rounds": 1e999}', "not finite numbers"),
        (b'{"brief": "a\\u0000"}', "--input: brief: control characters"),
        (b'{"brief": "\xff"}', "is not UTF-8 text"),
        (b'{"brief": "' + b"a" * 300_000 + b'"}', "is larger than 262144 bytes"),
    ],
)
def test_a_file_that_cannot_be_the_input_is_refused_in_one_line(
    cli: CommandLine, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "input.json").write_bytes(content)

    result = cli.run(*WRITE, "--input", "input.json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert cli.bench.tasks() == []


def test_an_agent_without_a_field_for_documents_refuses_a_document(cli: CommandLine) -> None:
    result = cli.run("enqueue", "echo", "-i", "demo", "--input", "-", stdin="text")

    assert result.exit_code == 2
    assert "echo takes no document; standard input must be a JSON object" in result.stderr


def test_durations() -> None:
    seconds = [parse_duration(text, "--every") for text in ("90", "90s", "1.5m", "2H", " 1 d ", "1w")]
    assert seconds == [90, 90, 90, 7200, 86_400, 604_800]
    for text in ("", "m", "-5", "5y", "1e5", "nan"):
        with pytest.raises(InvalidInput, match="must be a number of seconds"):
            parse_duration(text, "--every")


@pytest.mark.parametrize(
    "arguments",
    [
        ("prune", "--instance", "demo", "--event-days", "nan"),
        ("prune", "--instance", "demo", "--task-days", "1e300"),
        ("prune", "--instance", "demo", "--events", "9" * 30),
        ("watch", "demo", "--since", "9" * 30),
        ("audit", "list", "--since", "0001-01-01"),
        ("audit", "verify", "--after", "9" * 30),
        ("audit", "verify", "--anchor", f"{'9' * 5000}:{'a' * 64}"),
        ("instances", "renew-epoch", "\udcff"),
        ("instances", "export", "demo", "--output", ""),
    ],
)
def test_invalid_numbers_and_names_are_refused_with_a_message(cli: CommandLine, arguments: tuple[str, ...]) -> None:
    result = cli.run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr


def test_the_sample_is_the_first_example_of_the_agent_and_options_take_precedence(cli: CommandLine) -> None:
    missing = cli.run(*WRITE, "--sample")
    assert (missing.exit_code, "--sample: writer has no sample" in missing.stderr) == (2, True)
    schema = {**WRITER.input_schema, "examples": [{"brief": "A lamp.", "rounds": 1}]}
    register(cli.runtime.db, [replace(WRITER, input_schema=schema)])

    assert input_of(cli, "--sample", "-s", "rounds=2") == {"brief": "A lamp.", "rounds": 2}
    assert "enqueue writer --instance demo --sample\n" in cli.run("agents", "writer").stdout
    both = cli.run(*WRITE, "--sample", "--input", "brief.md")
    assert (both.exit_code, "--sample: cannot be used together with --input" in both.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("enqueue ecko -i demo", 2, "KIND: there is no agent of kind 'ecko' (known: echo, writer); did you mean echo?"),
        ("agents writter", 6, "KIND: there is no agent of kind 'writter' (known: echo, writer); did you mean writer?"),
        ("enqueue echo -i demo -s mesage=a", 2, "--set mesage: there is no such field (known: "),
        ("schedule add A echo -i demo --every 1h -s mesage=a", 2, "--set mesage: there is no such field (known: "),
        ("schedule add A ecko -i demo --every 1h", 2, "KIND: there is no agent of kind 'ecko' (known: echo, writer)"),
        ("schedule add A echo -i demo -s message=a", 2, "exactly one of --cron, --every and --at is required"),
        ("enqueue writer -i demo -s brief=a -s rounds=many", 2, "--set rounds: "),
        ("enqueue writer -i demo --input wrong.json", 2, "--input: brif: there is no such field (known: brief"),
        ("enqueue writer -i demo --input wrong.json -s rounds=2 -s brif=b", 2, "--set brif: there is no such field"),
    ],
)
def test_a_wrong_name_is_reported_as_it_was_typed_with_those_that_exist(
    cli: CommandLine, tmp_path: Path, arguments: str, code: int, message: str
) -> None:
    (tmp_path / "wrong.json").write_text('{"brief": "a", "brif": "b"}', encoding="utf-8")
    result = cli.run(*arguments.split())
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"swallowtail: {message}")
    assert result.stderr.count("\n") == 1
