"""What a task is given: files, standard input and settings, read as the agent's schema wants them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.errors import InvalidInput
from swallowtail.scripts.cli.task_input import parse_duration
from tests.cli.desk import Desk, open_desk

WRITE = ("enqueue", "writer", "--instance", "demo")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with open_desk(tmp_path, monkeypatch) as desk:
        yield desk


def given(desk: Desk, *arguments: str, stdin: str | None = None) -> Any:
    """The input of the task that these arguments submit."""
    return desk.lines(*WRITE, *arguments, given=stdin)[0]["task"]["input"]


def test_a_document_goes_where_the_schema_wants_a_file(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "brief.md").write_text("\ufeff# Lamp\n\nÄ lamp.\n", encoding="utf-8")
    (tmp_path / "notes.txt").write_text('{"not": "json input"}', encoding="utf-8")

    assert given(desk, "--input", "brief.md") == {"brief": "# Lamp\n\nÄ lamp.\n"}
    assert given(desk, "--input", "notes.txt") == {"brief": '{"not": "json input"}'}


@pytest.mark.parametrize("content", [b"%PDF-1.7\n\xff", b"PK\x03\x04\xff", b"a\0b"])
def test_a_file_that_is_no_text_goes_where_the_schema_wants_its_bytes(
    desk: Desk, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "brief.pdf").write_bytes(content)
    assert given(desk, "--input", "brief.pdf") == {"paper": base64.b64encode(content).decode()}


def test_a_json_file_is_the_whole_input_and_settings_win(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "input.JSON").write_text('{"brief": "a", "rounds": 1, "brand": {"name": "A"}}', encoding="utf-8")

    assert given(desk, "--input", "input.JSON", "-s", "rounds=2", "-s", "brand.grade=8.5") == {
        "brief": "a",
        "rounds": 2,
        "brand": {"name": "A", "grade": 8.5},
    }


def test_standard_input_is_json_when_it_begins_like_it_and_a_document_otherwise(desk: Desk) -> None:
    assert given(desk, "--input", "-", stdin=' {"brief": "a"}') == {"brief": "a"}
    assert given(desk, "--input", "-", stdin="A lamp.") == {"brief": "A lamp."}


def test_settings_are_read_as_the_schema_wants_them(desk: Desk) -> None:
    settings = ("-s", "brief=123", "-s", "platforms=x, linkedin", "-s", "brand.name=true")
    assert given(desk, *settings) == {"brief": "123", "platforms": ["x", "linkedin"], "brand": {"name": "true"}}
    assert given(desk, "-s", "brief=a=b", "-s", 'platforms=["x"]') == {"brief": "a=b", "platforms": ["x"]}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"{", "is not JSON: Expecting property name enclosed in double quotes (line 1, column 2)"),
        (b"[1]", "must hold a JSON object"),
        (b"", "is not JSON"),
        (b'{"brief": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "nested"),
        (b'{"brief": "a", "rounds": ' + b"9" * 5_000 + b"}", "too long"),
        (b'{"brief": "a", "rounds": 1e999}', "not a finite number"),
        (b'{"brief": "a\\u0000"}', "input.brief: control characters"),
        (b'{"brief": "\xff"}', "is not UTF-8 text"),
        (b'{"brief": "' + b"a" * 300_000 + b'"}', "is larger than 262144 bytes"),
    ],
)
def test_a_file_that_cannot_be_the_input_is_refused_in_one_line(
    desk: Desk, tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "input.json").write_bytes(content)

    result = desk.call(*WRITE, "--input", "input.json")

    assert (result.exit_code, result.stdout) == (2, "")
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1
    assert desk.bench.tasks() == []


def test_an_agent_without_a_place_for_documents_takes_none(desk: Desk) -> None:
    result = desk.call("enqueue", "echo", "-i", "demo", "--input", "-", given="text")

    assert result.exit_code == 2
    assert "echo takes no document; give standard input as a JSON object" in result.stderr


def test_durations() -> None:
    seconds = [parse_duration(text, "--every") for text in ("90", "90s", "1.5m", "2H", " 1 d ", "1w")]
    assert seconds == [90, 90, 90, 7200, 86_400, 604_800]
    for text in ("", "m", "-5", "5y", "1e5", "nan"):
        with pytest.raises(InvalidInput, match="give seconds"):
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
def test_what_cannot_be_reckoned_with_or_named_is_refused_in_words(desk: Desk, arguments: tuple[str, ...]) -> None:
    result = desk.call(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr
