"""The commands about what an instance keeps, its copy and its end, and about the keys that payloads are sealed with."""

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
from tests.cli.desk import Desk, open_desk

OLD, NEW = (f"{name}:{base64.b64encode(bytes([number]) * 32).decode()}" for name, number in (("old", 1), ("new", 2)))
SETTINGS = "as the settings say"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with open_desk(tmp_path, monkeypatch) as desk:
        yield desk


def test_a_policy_is_set_shown_and_taken_back(desk: Desk) -> None:
    nothing = {"event_days": None, "task_days": None, "secret_fields": None, "hide_emails": None}
    (before,) = desk.lines("policy", "show", "demo")
    assert before == {"instance_id": "demo", "updated_at": None, **nothing}
    wanted = [
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
    (told,) = desk.lines("policy", "set", "demo", *wanted)
    given = {"event_days": 30.0, "task_days": 0.0, "secret_fields": ["iban", "Tax-Id"], "hide_emails": True}
    assert told == {"instance_id": "demo", "updated_at": told["updated_at"], **given}
    assert told["updated_at"] is not None
    assert desk.lines("policy", "show", "demo") == [told]
    shown = desk.call("policy", "show", "demo").stdout.splitlines()
    assert shown == ["event_days: 30.0", "task_days: 0.0", "secret_fields: iban, Tax-Id", "hide_emails: True"]
    again = desk.call("policy", "set", "demo")
    assert again.exit_code == 0
    assert again.stdout.splitlines() == [f"{name}: {SETTINGS}" for name in nothing]


def test_a_policy_hides_at_once(desk: Desk) -> None:
    desk.lines("policy", "set", "demo", "--secret-field", "message")
    (task,) = desk.lines("show", desk.submit())[:1]
    assert task["input"]["message"] == "[redacted:secret]"


REFUSED = [
    (("policy", "show", "nowhere"), 6, "there is no such instance"),
    (("policy", "show", "a b"), 2, "instance_id"),
    (("policy", "set", "nowhere"), 6, "there is no such instance"),
    (("policy", "set", "demo", "--event-days", "-1"), 2, "event_days"),
    (("policy", "set", "demo", "--event-days", "soon"), 2, "--event-days"),
    (("policy", "set", "demo", "--task-days", "nan"), 2, "task_days"),
    (("policy", "set", "demo", "--task-days", "1e9"), 2, "task_days"),
    (("policy", "set", "demo", "--secret-field", "ok", "--secret-field", "-"), 2, "secret_fields[1]"),
    (("policy", "set", "demo", "--secret-field", ""), 2, "secret_fields[0]"),
    (("policy", "set"), 2, "INSTANCE"),
    (("instances", "export", "nowhere"), 6, "there is no such instance"),
    (("instances", "export", "a b"), 2, "instance_id"),
    (("instances", "export", "demo", "-o", "no/such/directory/file"), 2, "--output"),
    (("instances", "delete", "nowhere", "--confirm", "nowhere"), 6, "there is no such instance"),
    (("instances", "delete", "a b", "--confirm", "a b"), 2, "INSTANCE"),
    (("instances", "delete", "demo", "--confirm", "other"), 2, "confirm"),
    (("instances", "delete", "demo"), 2, "--confirm"),
    (("keys", "rotate"), 2, "SWALLOWTAIL_ENCRYPTION_KEYS"),
    (("artifact", "nonsense"), 2, "ARTIFACT"),
    (("artifact", "0f8fad5b-d9cb-469f-a165-70867728950e"), 6, "there is no such artifact"),
]


@pytest.mark.parametrize(("arguments", "code", "complaint"), REFUSED, ids=[" ".join(one[0]) for one in REFUSED])
def test_what_cannot_be_done_is_told_by_the_name_of_its_field(
    desk: Desk, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    task_id = desk.submit()
    result = desk.call(*arguments)
    assert (result.exit_code, complaint in result.stderr) == (code, True), result.output
    assert result.stdout == ""
    assert desk.call("show", task_id).exit_code == 0, "nothing is gone"
    assert list(Path().glob("*.part")) == []


def test_a_copy_is_whole_private_and_the_same_on_standard_output(desk: Desk, tmp_path: Path) -> None:
    desk.complete(desk.submit())
    desk.submit()
    (tmp_path / "other").write_text("kept")
    # What is left over, or was put there by somebody else, is neither written to nor passed on.
    (tmp_path / "copy.jsonl.part").symlink_to(tmp_path / "other")
    result = desk.call("instances", "export", "demo", "-o", "copy.jsonl")
    assert (tmp_path / "other").read_text() == "kept"
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Wrote copy.jsonl.\n")
    copy = tmp_path / "copy.jsonl"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    body, _, last = copy.read_bytes().rstrip(b"\n").rpartition(b"\n")
    manifest = json.loads(last)
    assert manifest["sha256"] == hashlib.sha256(body + b"\n").hexdigest()
    assert manifest["lines"]["task"] == 2
    printed = desk.call("instances", "export", "demo")
    assert printed.exit_code == 0
    kinds = [json.loads(line)["kind"] for line in printed.stdout.splitlines()]
    assert (kinds[0], kinds[-1]) == ("export", "manifest")
    assert kinds.count("event") == manifest["lines"]["event"]


def test_a_file_that_was_there_stays_until_its_successor_is_whole(desk: Desk, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_text("before")
    assert desk.call("instances", "export", "nowhere", "-o", "copy.jsonl").exit_code == 6
    assert copy.read_text() == "before"
    assert desk.call("instances", "export", "demo", "-o", "copy.jsonl").exit_code == 0
    assert copy.read_text().startswith('{"kind":"export"')


def test_deleting_takes_the_id_once_more_and_tells_how_much_went(desk: Desk) -> None:
    desk.complete(desk.submit())
    result = desk.call("instances", "delete", "demo", "--confirm", "demo")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith("Deleted demo: 1 tasks, ")
    assert desk.call("list", "demo").exit_code == 6
    assert desk.call("instances", "delete", "demo", "--confirm", "demo").exit_code == 6
    desk.lines("instances", "create", "Demo", "--id", "demo")
    assert desk.lines("instances", "delete", "demo", "--confirm", "demo") == [
        {"instance_id": "demo", "tasks": 0, "events": 0}
    ]


def test_keys_are_told_changed_and_told_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = desk.submit()
    first = desk.call("keys", "status").stdout.splitlines()
    assert (first[0], first[1]) == ("Sealing with: nothing", "task.input: 1 not sealed")
    for keys, name in ((OLD, "old"), (f"{NEW},{OLD}", "new")):
        monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", keys)
        done = desk.call("keys", "rotate")
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == "Sealed 2 rows.\n"
        status = desk.call("keys", "status").stdout.splitlines()
        assert (status[0], status[1]) == (f"Sealing with: {name}", f"task.input: 1 with {name}, 0 not sealed")
        assert desk.call("keys", "rotate").stderr == "Sealed 0 rows.\n"
    found = {(use["table"], use["column"]): use for use in desk.lines("keys", "status")}
    assert found["task", "input"] == {"table": "task", "column": "input", "sealed": {"new": 1, "old": 0}, "unsealed": 0}
    assert desk.lines("show", task_id)[0]["input"]["message"] == "hello"


def test_a_key_that_is_missing_is_named_and_what_it_sealed_is_marked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", OLD)
    task_id = desk.submit()
    monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", NEW)
    rotated = desk.call("keys", "rotate")
    assert (rotated.exit_code, "'old'" in rotated.stderr) == (8, True), rotated.output
    mark = {"$unreadable": "key_missing"}
    assert desk.lines("show", task_id)[0]["input"] == mark
    assert desk.call("instances", "export", "demo", "-o", "copy.jsonl").exit_code == 0
    assert '"input":{"$unreadable":"key_missing"}' in Path("copy.jsonl").read_text(encoding="utf-8")
    assert "1 with old (missing)" in desk.call("keys", "status").stdout
    with desk.runtime.db.read() as session:
        stored = session.scalars(select(Task.__table__.c.input)).one()
    assert stored["$sealed"].startswith("old:")


@pytest.mark.parametrize("keys", ["nonsense", "short:AAAA", f"{OLD},{OLD}"])
def test_keys_that_cannot_be_used_are_refused_by_the_name_of_their_setting(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, keys: str
) -> None:
    monkeypatch.setenv("SWALLOWTAIL_ENCRYPTION_KEYS", keys)
    result = desk.call("keys", "status")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "SWALLOWTAIL_ENCRYPTION_KEYS" in result.stderr
    assert "AAAA" not in result.output
