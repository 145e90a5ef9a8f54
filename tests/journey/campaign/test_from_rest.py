"""A campaign over REST on a real document: all clients receive the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from tests.harness.deployment import Deployment
from tests.harness.received_events import assert_contiguous, shape
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.journey.campaign_clients import BRIEF, CAMPAIGN, PATIENT, drop_on_the_way

Json = dict[str, Any]


@pytest.fixture
def busy_deployment(new_deployment: Callable[..., Deployment]) -> Deployment:
    """Two web processes and a worker that keeps its lease on a busy machine."""
    deployment = new_deployment(env=PATIENT)
    for program in (
        deployment.start_worker(wait=False),
        deployment.start_web(wait=False),
        deployment.start_web(wait=False),
    ):
        program.wait_ready()
    return deployment


@pytest.fixture
def rest(busy_deployment: Deployment) -> Iterator[httpx2.Client]:
    """A client of the first web process's API."""
    with httpx2.Client(base_url=f"{busy_deployment.webs[0].url}/api/v1", timeout=60) as client:
        yield client


def read_log(rest: httpx2.Client, instance: str) -> list[Json]:
    """The instance's log, page by page."""
    events: list[Json] = []
    since = 0
    while True:
        page = rest.get(f"/instances/{instance}/events", params={"since": since, "limit": 7}).raise_for_status().json()
        events += page["items"]
        since = page["next_since"]
        if since == page["head"]:
            return events


def test_rest_and_all_clients_report_a_campaign_alike(busy_deployment: Deployment, rest: httpx2.Client) -> None:
    first, second = busy_deployment.webs
    instance = rest.post("/instances", json={"name": "Aurora"}).raise_for_status().json()["id"]
    with Recorder(first.url) as old, ResumingRecorder(second.url) as resuming:
        old.subscribe(instance)
        resuming.follow(instance)
        submission = {"kind": "social_campaign", "input": {"brief": BRIEF.read_text(encoding="utf-8")}}
        answer = rest.post(f"/instances/{instance}/tasks", json=submission, headers={"Idempotency-Key": "launch"})
        assert answer.status_code == 201
        submitted = answer.json()
        task_id = submitted["task"]["id"]
        assert submitted["seq"] == 1

        stood_at = drop_on_the_way(busy_deployment, resuming, instance, [first.url, second.url, first.url, second.url])

        busy_deployment.wait_for_task(task_id, "COMPLETED")
        received = read_log(rest, instance)
        assert shape(received) == CAMPAIGN
        assert_contiguous(received)
        assert received == busy_deployment.events(instance)
        old.wait_for_seq(instance, len(received))
        assert old.events() == received
        assert resuming.wait_for_log(instance, len(received)) == received
        assert len(set(stood_at)) == 4
        assert resuming.positions[instance].snapshots == []
        assert not old.errors
        assert not resuming.errors

    assert_stored(rest, task_id, received)
    repeated = rest.post(f"/instances/{instance}/tasks", json=submission, headers={"Idempotency-Key": "launch"})
    task = rest.get(f"/tasks/{task_id}").raise_for_status().json()
    assert (repeated.status_code, repeated.json()["task"]) == (200, task)
    assert read_log(rest, instance) == received


def assert_stored(rest: httpx2.Client, task_id: str, received: list[Json]) -> None:
    """The task and its steps, read over REST, agree with the events that the clients received."""
    task = rest.get(f"/tasks/{task_id}").raise_for_status().json()
    assert (task["status"], task["progress"], task["last_seq"]) == ("COMPLETED", 100.0, len(received))
    assert task["result"] == received[-1]["data"]["result"]
    assert "Aurora One" in task["result"]["markdown"]
    steps = rest.get(f"/tasks/{task_id}/steps").raise_for_status().json()["items"]
    ended = [event["data"] for event in received if event["data"].get("completed_at")]
    wholes = [rest.get(f"/tasks/{task_id}/steps/{step['step_id']}").raise_for_status().json() for step in steps]
    assert [(step["key"], step["agent"], step["output"]) for step in wholes] == [
        (data["key"], data["agent"], data["output"]) for data in ended
    ]


@pytest.mark.long
def test_a_bad_brief_is_refused_with_its_field_and_leaves_no_event(
    busy_deployment: Deployment, rest: httpx2.Client
) -> None:
    instance = busy_deployment.new_instance()
    for payload, field in (
        ({}, "input"),
        ({"brief": "A lamp", "platforms": ["fax"]}, "input.platforms[0]"),
        ({"brief": 5}, "input.brief"),
        ({"brief": "A lamp", "mood": "good"}, "input.mood"),
    ):
        answer = rest.post(f"/instances/{instance}/tasks", json={"kind": "social_campaign", "input": payload})
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert busy_deployment.events(instance) == []
