"""The commands for retention policies, export and deletion of instances, and encryption keys."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from swallowtail.app.core.tables.tasks import Task
from tests.cli.command_line import CommandLine, open_command_line

OLD, NEW = (f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for name, number in (("old", 1), ("new", 2)))
SETTINGS = "default of the deployment"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    with open_command_line(tmp_path, monkeypatch) as cli:
        yield cli


def test_a_policy_is_set_shown_and_reset(cli: CommandLine) -> None:
    nothing = {"event_days": None, "task_days": None, "secret_fields": None, "hide_emails": None}
    (before,) = cli.lines("policy", "show", "demo")
    assert before == {"instance_id": "demo", "updated_at": None, **nothing}
    options = [
        "--event-days",
        "30",
        "--task-days",
        "0",
        "--secret-field",
        "iban",
        "--secret-field",
        "Tax-Id",
        "--hide-emails",
    ]
    (policy,) = cli.lines("policy", "set", "demo", *options)
    expected = {"event_days": 30.0, "task_days": 0.0, "secret_fields": ["iban", "Tax-Id"], "hide_emails": True}
    assert policy == {"instance_id": "demo", "updated_at": policy["updated_at"], **expected}
    assert policy["updated_at"] is not None
    assert cli.lines("policy", "show", "demo") == [policy]
    shown = cli.run("policy", "show", "demo").stdout.splitlines()
    assert shown == ["event_days: 30.0", "task_days: 0.0", "secret_fields: iban, Tax-Id", "hide_emails: True"]
    again = cli.run("policy", "set", "demo")
    assert again.exit_code == 0
    assert again.stdout.splitlines() == [f"{name}: {SETTINGS}" for name in nothing]


def test_a_policy_redacts_at_once(cli: CommandLine) -> None:
    cli.lines("policy", "set", "demo", "--secret-field", "message")
    (task,) = cli.lines("show", cli.submit())[:1]
    assert task["input"]["message"] == "[redacted:secret]"


REFUSED = [
    (("policy", "show", "nowhere"), 6, "there is no such instance"),
    (("policy", "show", "a b"), 2, "INSTANCE"),
    (("policy", "set", "nowhere"), 6, "there is no such instance"),
    (("policy", "set", "demo", "--event-days", "-1"), 2, "--event-days"),
    (("policy", "set", "demo", "--event-days", "soon"), 2, "--event-days"),
    (("policy", "set", "demo", "--task-days", "nan"), 2, "not finite numbers"),
    (("policy", "set", "demo", "--task-days", "1e9"), 2, "--task-days"),
    (("policy", "set", "demo", "--secret-field", "ok", "--secret-field", "-"), 2, "--secret-field"),
    (("policy", "set", "demo", "--secret-field", ""), 2, "--secret-field"),
    (("policy", "set"), 2, "INSTANCE"),
    (("instances", "export", "nowhere"), 6, "there is no such instance"),
    (("instances", "export", "a b"), 2, "INSTANCE"),
    (("instances", "export", "demo", "-o", "no/such/directory/file"), 2, "--output"),
    (("instances", "delete", "nowhere", "--confirm", "nowhere"), 6, "there is no such instance"),
    (("instances", "delete", "a b", "--confirm", "a b"), 2, "INSTANCE"),
    (("instances", "delete", "demo", "--confirm", "other"), 2, "confirm"),
    (("instances", "delete", "demo"), 2, "--confirm"),
    (("keys", "rotate"), 2, "SWALLOWTAIL_ENCRYPTION_KEYS"),
    (("artifact", "nonsense"), 2, "ARTIFACT"),
    (("artifact", "0f8fad5b-d9cb-469f-a165-70867728950e"), 6, "there is no such artifact"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), REFUSED, ids=[" ".join(one[0]) for one in REFUSED])
def test_an_error_names_the_field(cli: CommandLine, arguments: tuple[str, ...], code: int, message: str) -> None:
    task_id = cli.submit()
    result = cli.run(*arguments)
    assert (result.exit_code, message in result.stderr) == (code, True), result.output
    assert result.stdout == ""
    assert cli.run("show", task_id).exit_code == 0, "nothing is gone"
    assert list(Path().glob("*.part")) == []


def test_an_export_is_complete_private_and_the_same_on_standard_output(cli: CommandLine, tmp_path: Path) -> None:
    cli.complete(cli.submit())
    cli.submit()
    (tmp_path / "other").write_text("kept")
    # An existing temporary file is neither written to nor reused.
    (tmp_path / "copy.jsonl.part").symlink_to(tmp_path / "other")
    result = cli.run("instances", "export", "demo", "-o", "copy.jsonl")
    assert (tmp_path / "other").read_text() == "kept"
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Wrote copy.jsonl.\n")
    copy = tmp_path / "copy.jsonl"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    body, _, last = copy.read_bytes().rstrip(b"\n").rpartition(b"\n")
    manifest = json.loads(last)
    assert manifest["sha256"] == hashlib.sha256(body + b"\n").hexdigest()
    assert manifest["lines"]["task"] == 2
    printed = cli.run("instances", "export", "demo")
    assert printed.exit_code == 0
    kinds = [json.loads(line)["kind"] for line in printed.stdout.splitlines()]
    assert (kinds[0], kinds[-1]) == ("export", "manifest")
    assert kinds.count("event") == manifest["lines"]["event"]


def test_an_existing_file_stays_until_the_new_one_is_complete(cli: CommandLine, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_text("before")
    assert cli.run("instances", "export", "nowhere", "-o", "copy.jsonl").exit_code == 6
    assert copy.read_text() == "before"
    assert cli.run("instances", "export", "demo", "-o", "copy.jsonl").exit_code == 0
    assert copy.read_text().startswith('{"kind":"export"')


def test_deleting_needs_the_id_as_confirmation_and_reports_the_counts(cli: CommandLine) -> None:
    cli.complete(cli.submit())
    result = cli.run("instances", "delete", "demo", "--confirm", "demo")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Deleted demo: 1 task, ")
    assert cli.run("list", "demo").exit_code == 6
    assert cli.run("instances", "delete", "demo", "--confirm", "demo").exit_code == 6
    cli.lines("instances", "create", "Demo", "--id", "demo")
    assert cli.lines("instances", "delete", "demo", "--confirm", "demo") == [
        {"instance_id": "demo", "tasks": 0, "events": 0}
    ]


def test_the_status_of_keys_changes_with_a_rotation(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = cli.submit()
    first = cli.run("keys", "status").stdout.splitlines()
    assert (first[0], first[1]) == ("Encrypting with: no key", "task.input: 1 not encrypted")
    for keys, name in ((OLD, "old"), (f"{NEW},{OLD}", "new")):
        monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", keys)
        done = cli.run("keys", "rotate")
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == "Encrypted 2 rows.\n"
        status = cli.run("keys", "status").stdout.splitlines()
        assert (status[0], status[1]) == (f"Encrypting with: {name}", f"task.input: 1 with {name}, 0 not encrypted")
        assert cli.run("keys", "rotate").stderr == "Encrypted 0 rows.\n"
    uses = {(use["table"], use["column"]): use for use in cli.lines("keys", "status")}
    assert uses["task", "input"] == {"table": "task", "column": "input", "sealed": {"new": 1, "old": 0}, "unsealed": 0}
    assert cli.lines("show", task_id)[0]["input"]["message"] == "hello"


def test_a_missing_key_is_named_and_its_values_are_marked(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", OLD)
    task_id = cli.submit()
    monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", NEW)
    rotated = cli.run("keys", "rotate")
    assert (rotated.exit_code, "'old'" in rotated.stderr) == (8, True), rotated.output
    mark = {"$unreadable": "key_missing"}
    assert cli.lines("show", task_id)[0]["input"] == mark
    assert cli.run("instances", "export", "demo", "-o", "copy.jsonl").exit_code == 0
    assert '"input":{"$unreadable":"key_missing"}' in Path("copy.jsonl").read_text(encoding="utf-8")
    assert "1 with old (missing)" in cli.run("keys", "status").stdout
    with cli.runtime.db.read() as session:
        stored = session.scalars(select(Task.__table__.c.input)).one()
    assert stored["$sealed"].startswith("old:")


@pytest.mark.parametrize("keys", ["nonsense", "short:AAAA", f"{OLD},{OLD}"])
def test_keys_that_cannot_be_used_are_refused_by_the_name_of_their_setting(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", keys)
    result = cli.run("keys", "status")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "SWALLOWTAIL_ENCRYPTION_KEYS" in result.stderr
    assert "AAAA" not in result.output
