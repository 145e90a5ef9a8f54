"""A campaign from the command line on a real document: all clients receive the same."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.deployment import Deployment
from tests.harness.program import ROOT, Program, clean_environment
from tests.harness.received_events import assert_contiguous, shape
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.waiting import PATIENCE, wait_until
from tests.journey.campaign_clients import BRIEF, CAMPAIGN, PATIENT, drop_on_the_way


def printed(program: Program) -> list[dict[str, Any]]:
    """The JSON lines that a running command has printed."""
    return [json.loads(line) for line in program.log_text().splitlines() if line.startswith("{") and line.endswith("}")]


def test_the_command_and_all_clients_report_a_campaign_alike(
    new_deployment: Callable[..., Deployment],
) -> None:
    deployment = new_deployment(env=PATIENT)
    deployment.start_worker(wait=False)
    first, second = deployment.start_web(wait=False), deployment.start_web(wait=False)
    for program in (*deployment.workers, first, second):
        program.wait_ready()
    instance = deployment.new_instance()
    with Recorder(first.url) as old, ResumingRecorder(second.url) as resuming:
        old.subscribe(instance)
        resuming.follow(instance)
        arguments = ["enqueue", "social_campaign", "--instance", instance, "--input", str(BRIEF), "--follow", "--json"]
        command = deployment.command("cli", ["-m", "swallowtail.scripts.enqueue", *arguments])
        old.wait_until(lambda: old.count("task_update") > 0, "the task is submitted")

        stood_at = drop_on_the_way(deployment, resuming, instance, [first.url, second.url, first.url, second.url])

        assert command.wait() == 0
        received = deployment.events(instance)
        assert shape(received) == CAMPAIGN
        assert_contiguous(received)
        assert printed(command) == received
        old.wait_for_seq(instance, len(received))
        assert old.events() == received
        assert resuming.wait_for_log(instance, len(received)) == received
        assert len(set(stood_at)) == 4
        assert resuming.positions[instance].snapshots == []
        assert not old.errors
        assert not resuming.errors
    result = received[-1]["data"]["result"]
    assert [post["platform"] for post in result["posts"]] == ["x", "linkedin", "instagram"]
    assert "Aurora One" in result["markdown"]


@pytest.mark.long
def test_the_same_campaign_for_people_ends_with_the_package(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()

    done = shared_deployment.cli(
        "enqueue", "social_campaign", "--instance", instance, "--input", str(BRIEF), "--follow"
    )

    lines = done.stdout.splitlines()
    statuses = [line.split()[-1] for line in lines if line.split() and line.split()[-1].isupper()]
    assert statuses[:4] == ["SUBMITTED", "QUEUED", "IN_PROGRESS", "COMPLETED"]
    assert sum("✓" in line for line in lines) == 8
    assert any("Aurora One desk lamp" in line for line in lines)
    assert done.stderr == ""


def test_a_document_from_standard_input_with_settings_and_the_file_run_by_itself(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    arguments = ["enqueue", "social_campaign", "-i", instance, "--input", "-", "-s", "platforms=x", "-s", "tone=bold"]

    done = shared_deployment.run(
        [str(ROOT / "scripts" / "enqueue.py"), *arguments, "--follow", "--json"],
        stdin=BRIEF.read_text(encoding="utf-8"),
        check=False,
    )

    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events == shared_deployment.events(instance)
    assert [post["platform"] for post in events[-1]["data"]["result"]["posts"]] == ["x"]


def test_a_campaign_and_a_schedule_on_postgresql_and_rabbitmq(
    new_deployment: Callable[..., Deployment], postgres_url: str, rabbit_url: str
) -> None:
    deployment = new_deployment(
        database_url=postgres_url, broker_url=rabbit_url, env={**PATIENT, "queue": "cli-campaign"}
    )
    deployment.start_web(wait=False)
    deployment.start_worker(wait=False)
    beats = [deployment.start_beat(wait=False), deployment.start_beat(wait=False)]
    for program in (*deployment.webs, *deployment.workers, *beats):
        program.wait_ready()
    instance = deployment.new_instance()

    done = deployment.cli("enqueue", "social_campaign", "-i", instance, "--input", str(BRIEF), "--follow", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == deployment.events(instance)
    assert shape(deployment.events(instance)) == CAMPAIGN

    echo = ("echo", "--instance", instance, "--set", "message=hello")
    schedule = deployment.cli("schedule", "add", "often", *echo, "--every", "1s", "--catch-up", "all").stdout.strip()

    def slots() -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in deployment.cli("schedule", "slots", schedule, "--json").stdout.splitlines()
        ]

    wait_until(lambda: len(slots()) >= 3, "three slots are decided")
    deployment.cli("schedule", "pause", schedule)
    fired = slots()
    assert len({slot["task_id"] for slot in fired}) == len(fired)
    assert {slot["outcome"] for slot in fired} == {"fired"}
    assert {deployment.wait_for_task(slot["task_id"])["status"] for slot in fired} == {"COMPLETED"}
    assert [beat.terminate() for beat in beats] == [0, 0]


@pytest.mark.long
def test_output_that_the_terminal_cannot_show_stops_nothing(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    shared_deployment.cli(
        "enqueue", "echo", "-i", instance, "-s", "message=ähnlich 你好", "--title", "你好", "--follow"
    )

    for more, encoding in ((["--json"], "utf-8"), ([], "ascii")):
        done = subprocess.run(
            [sys.executable, "-m", "swallowtail.scripts.enqueue", "list", instance, *more],
            env={**clean_environment(shared_deployment.env), "PYTHONIOENCODING": "ascii"},
            cwd=shared_deployment.root,
            capture_output=True,
            timeout=PATIENCE,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert ("你好" if more else "??") in done.stdout.decode(encoding)
