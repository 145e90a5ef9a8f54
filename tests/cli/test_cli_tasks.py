"""The commands for tasks: their output and exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from swallowtail.app.core.events import now
from swallowtail.app.core.queries.rows import read_task
from swallowtail.app.core.tables.tasks import Task
from tests.cli.command_line import CommandLine, open_command_line

ANONYMOUS = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    with open_command_line(tmp_path, monkeypatch) as cli:
        yield cli


def test_a_task_is_stored_without_a_broker_and_its_id_is_the_output(cli: CommandLine) -> None:
    result = cli.run("enqueue", "echo", "--instance", "demo", "--set", "message=hello", "--title", "Say hello")

    (task,) = cli.bench.tasks()
    assert (result.exit_code, result.stdout) == (0, task["id"] + "\n")
    assert "waiting: No worker is running" in result.stderr
    assert (task["title"], task["input"], task["status"], task["submitted_by"]) == (
        "Say hello",
        {"message": "hello", "times": 1},
        "SUBMITTED",
        "api",
    )


def test_the_same_key_gives_the_same_task_and_another_input_is_a_conflict(cli: CommandLine) -> None:
    submit = ("enqueue", "echo", "-i", "demo", "--key", "monday")
    first, second = (cli.lines(*submit, "-s", "message=a")[0] for _ in range(2))

    assert (first["created"], second["created"]) == (True, False)
    assert first["task"]["id"] == second["task"]["id"]
    assert (first["seq"], first["epoch"]) == (1, second["epoch"])
    clash = cli.run(*submit, "-s", "message=b")
    assert (clash.exit_code, clash.stdout) == (7, "")
    assert clash.stderr.startswith("swallowtail: --key: ")


def test_an_unknown_status_names_the_option_and_the_known_ones(cli: CommandLine) -> None:
    result = cli.run("list", "demo", "--status", "lost")
    assert result.exit_code == 2
    assert result.stderr.startswith("swallowtail: --status: must be one of submitted, queued, ")
    assert cli.run("list", "demo", "--status", "Failed").stdout == "no tasks\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["echo", "-i", "demo"], 2, "--set message: this field is required"),
        (["echo", "-i", "demo", "-s", "message="], 2, "--set message: "),
        (["echo", "-i", "demo", "-s", "message=a", "-s", "other=1"], 2, "--set other: there is no such field"),
        (["echo", "-i", "demo", "-s", "message=a", "-s", "times=many"], 2, "--set times: "),
        (["echo", "-i", "demo", "-s", "message=a\x07"], 2, "--set message: control characters"),
        (["echo", "-i", "demo", "-s", "message"], 2, "--set: must be key=value"),
        (["echo", "-i", "demo", "-s", "=a"], 2, "--set: must be key=value"),
        (["echo", "-i", "demo", "-s", "a..b=a"], 2, "--set: must be key=value"),
        (["echo", "-i", "demo", "-s", "times=1", "-s", "times.x=1"], 2, "--set: times is not an object"),
        (["nobody", "-i", "demo"], 2, "KIND: there is no agent of kind 'nobody' (known: echo, writer)"),
        (["e\x00cho", "-i", "demo"], 2, "KIND: control characters are not allowed"),
        (["echo", "-i", "nobody", "-s", "message=a"], 6, "--instance: there is no such instance"),
        (["echo", "-i", "a b", "-s", "message=a"], 2, "--instance must be"),
        (["echo", "-i", "demo", "-s", "message=a", "--title", "a\nb"], 2, "--title must not"),
        (["echo", "-i", "demo", "-s", "message=a", "--key", ""], 2, "--key must"),
        (
            ["echo", "-i", "demo", "-s", "message=a", "--expires-in", "soon"],
            2,
            "--expires-in: must be a number of seconds",
        ),
        (["echo", "-i", "demo", "-s", "message=a", "--expires-in", "0"], 2, "--expires-in must be"),
        (["echo", "-i", "demo", "-s", "message=a", "--expires-in", "99999d"], 2, "--expires-in must be"),
        (["echo", "-i", "demo", "--input", "nowhere.json"], 2, "--input: cannot read nowhere.json: No such file"),
        (["echo", "-i", "demo", "--input", "."], 2, "--input: cannot read .: Is a directory"),
        (["echo", "-i", "demo", "--input", "a\x00b"], 2, "--input: "),
    ],
)
def test_bad_input_is_one_line_that_names_the_field_and_nothing_is_stored(
    cli: CommandLine, arguments: list[str], code: int, message: str
) -> None:
    result = cli.run("enqueue", *arguments)

    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr
    assert result.stderr.startswith("swallowtail: ")
    assert result.stderr.count("\n") == 1
    assert cli.bench.tasks() == []


def test_wrong_usage_ends_with_2(cli: CommandLine) -> None:
    for arguments in (["enqueue", "echo"], ["enqueue"], ["dance"], ["list", "demo", "--limit", "0"]):
        assert cli.run(*arguments).exit_code == 2


def test_list_shows_the_latest_first_filters_and_pages(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWALLOWTAIL_PAGE_SIZE", "2")
    ids = [cli.submit("--key", str(number)) for number in range(5)]
    cli.run("cancel", ids[0])

    assert [task["id"] for task in cli.lines("list", "demo")] == ids[::-1]
    assert [task["id"] for task in cli.lines("list", "demo", "--limit", "3")] == ids[:1:-1]
    assert [task["id"] for task in cli.lines("list", "demo", "--status", "cancelled")] == ids[:1]
    assert cli.lines("list", "demo", "--kind", "writer") == []
    table = cli.run("list", "demo").stdout
    assert all(task_id in table for task_id in ids)
    assert cli.run("list", "demo", "--kind", "writer").stdout == "no tasks\n"
    assert cli.run("list", "nobody").exit_code == 6
    assert cli.run("list", "demo", "--status", "done").exit_code == 2


def test_list_filters_by_text_and_time(cli: CommandLine) -> None:
    for title in ("Spring sale", "Autumn sale"):
        cli.submit("--key", title, "--title", title)

    assert [task["title"] for task in cli.lines("list", "demo", "--text", "spring")] == ["Spring sale"]
    assert len(cli.lines("list", "demo", "--since", "1h")) == 2
    assert cli.lines("list", "demo", "--since", "2999-01-01") == []
    assert cli.lines("list", "demo", "--until", "1h") == []
    late = cli.run("list", "demo", "--since", "spring")
    assert late.stderr.startswith("swallowtail: --since: must be a time such as")
    table = cli.run("list", "demo", "--limit", "1")
    assert table.stderr.startswith("The latest 1 task; --limit shows more.\n1 task waiting: No worker is running")


def test_show_gives_times_actions_and_the_type_of_an_error(cli: CommandLine) -> None:
    task_id = cli.submit()
    assert "Waiting: No worker is running" in cli.run("show", task_id).stdout
    cli.fail(task_id)

    lines = cli.run("show", task_id).stdout.splitlines()
    assert lines[0] == "Echo: FAILED"
    assert lines[1] == f"{task_id} · echo · in demo"
    assert lines[2].startswith("Submitted ")
    assert " · 0." in lines[3]
    assert lines[3].endswith(" s · attempt 1")
    assert lines[4].split() == ["Step", "Agent", "Action", "Status", "Tries", "Took", "Error"]
    assert lines[5].split()[:4] == ["only", "Echo", "repeat", "failed"]
    assert lines[-1].startswith("Error: broken: it [bold]broke")


def test_show_gives_the_task_its_steps_and_its_result(cli: CommandLine) -> None:
    task_id = cli.submit()
    cli.complete(task_id, {"markdown": "# Heading\n\nText", "posts": []})

    (shown,) = cli.lines("show", task_id)
    with cli.runtime.db.read() as session:
        task = read_task(session, task_id)
    assert {key: value for key, value in shown.items() if key != "steps"} == task
    assert [(step["key"], step["status"], step["output"]) for step in shown["steps"]] == [
        ("only", "completed", {"said": "hello"})
    ]
    text = cli.run("show", task_id).stdout
    assert "Echo: COMPLETED" in text
    assert "Heading" in text
    assert "# Heading" not in text


def test_an_error_cannot_control_the_terminal(cli: CommandLine) -> None:
    task_id = cli.submit()
    cli.fail(task_id)

    for output in (cli.run("show", task_id).stdout, cli.run("watch", "demo", "--task", task_id).stdout):
        assert "it [bold]broke\ufffd[2J" in output
        assert "\x1b" not in output


def test_an_unknown_id_ends_with_6_and_an_invalid_one_with_2(cli: CommandLine) -> None:
    for command in ("show", "cancel", "retry"):
        assert cli.run(command, ANONYMOUS).exit_code == 6
        refused = cli.run(command, "7")
        assert (refused.exit_code, refused.stderr) == (
            2,
            "swallowtail: TASK must be a UUID; `swallowtail list INSTANCE` lists tasks\n",
        )
    assert cli.run("watch", "nobody").exit_code == 6
    assert cli.run("watch", "demo", "--task", ANONYMOUS).exit_code == 6
    assert cli.run("watch", "demo", "--since", "-1").exit_code == 2
    assert cli.run("agents", "nobody").exit_code == 6


def test_cancel_and_retry_print_the_changed_task(cli: CommandLine) -> None:
    task_id = cli.submit()

    assert cli.lines("cancel", task_id)[0]["task"]["status"] == "CANCELLED"
    assert cli.lines("cancel", task_id)[0]["task"]["status"] == "CANCELLED"
    retried = cli.run("retry", task_id)
    assert (retried.exit_code, retried.stdout) == (0, task_id + "\n")
    assert cli.run("retry", task_id).exit_code == 7
    cli.fail(task_id)
    assert cli.run("retry", task_id, "--from-step", "nowhere").exit_code == 2
    cli.lines("retry", task_id, "--from-step", "only")
    cli.complete(task_id)
    assert cli.run("cancel", task_id).exit_code == 7


def test_following_ends_with_the_exit_code_of_the_status(cli: CommandLine) -> None:
    done, broken, unwanted, late = (cli.submit("--key", name) for name in ("a", "b", "c", "d"))
    cli.complete(done)
    cli.fail(broken)
    cli.run("cancel", unwanted)
    with cli.runtime.db.write() as session:
        session.execute(update(Task).where(Task.id == late).values(expires_at=now()))
    cli.runtime.ledger.expire()

    codes = [cli.run("watch", "demo", "--task", task).exit_code for task in (done, broken, unwanted, late)]

    assert codes == [0, 3, 4, 5]


def test_following_prints_the_events_of_the_task_exactly_as_they_are_on_the_wire(cli: CommandLine) -> None:
    other, task_id = cli.submit("--key", "other"), cli.submit("--key", "k")
    cli.complete(task_id, {"said": "hello"})

    events = cli.lines("watch", "demo", "--task", task_id)
    again = cli.lines("enqueue", "echo", "-i", "demo", "-s", "message=hello", "--key", "k", "--follow")

    assert events == again == [event.wire() for event in cli.bench.events_of(task_id)]
    assert [event["seq"] for event in events] == [2, 3, 4, 5, 6, 7, 8]
    assert other not in json.dumps(events)
    assert [event["seq"] for event in cli.lines("watch", "demo", "--task", task_id, "--since", "6")] == [7, 8]


def test_following_a_retry_begins_with_it(cli: CommandLine) -> None:
    task_id = cli.submit()
    cli.run("cancel", task_id)
    outcome = cli.lines("retry", task_id)[0]
    cli.complete(task_id)

    events = cli.lines("watch", "demo", "--task", task_id, "--since", str(outcome["seq"] - 1))

    statuses = [event["data"].get("status") for event in events if event["type"] == "task_update"]
    assert statuses == ["RETRYING", "QUEUED", "IN_PROGRESS", None, "COMPLETED"]


def test_a_cursor_that_cannot_be_continued_prints_a_reset(cli: CommandLine) -> None:
    task_id = cli.submit()
    cli.complete(task_id)

    reset, *events = cli.lines("watch", "demo", "--task", task_id, "--since", "900")

    assert reset == {"type": "reset", "instance_id": "demo", "epoch": reset["epoch"], "head": 7}
    assert events == []


def test_ctrl_c_prints_how_to_continue_and_ends_with_130(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    task_id = cli.submit()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swallowtail.client.stream.log_stream.LogStream.follow", interrupt)
    result = cli.run("watch", "demo", "--task", task_id, "--json")

    assert result.exit_code == 130
    assert result.stderr.endswith(f"swallowtail watch demo --task {task_id} --since 1\n")


def test_a_bad_setting_is_named(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWALLOWTAIL_PAGE_SIZE", "many")

    result = cli.run("users")

    assert result.exit_code == 2
    assert result.stderr.startswith("swallowtail: SWALLOWTAIL_PAGE_SIZE: ")
