"""Tasks over REST with real processes: cancels, retries, a double submission, and Redis away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from swallowtail.app.core.queries.rows import list_tasks
from tests.harness.deployment import Deployment
from tests.harness.received_events import assert_contiguous, shape
from tests.harness.recorder import Recorder
from tests.harness.waiting import wait_until

Json = dict[str, Any]


@pytest.fixture
def rest(shared_deployment: Deployment) -> Iterator[httpx2.Client]:
    """A client of the first web process's API."""
    with httpx2.Client(base_url=f"{shared_deployment.webs[0].url}/api/v1", timeout=60) as client:
        yield client


def _submit(rest: httpx2.Client, instance: str, **payload: Any) -> str:
    answer = rest.post(f"/instances/{instance}/tasks", json={"kind": "probe", "input": payload}).raise_for_status()
    return str(answer.json()["task"]["id"])


def test_a_running_task_is_cancelled_and_then_begun_again(shared_deployment: Deployment, rest: httpx2.Client) -> None:
    instance = shared_deployment.new_instance()
    with Recorder(shared_deployment.webs[1].url) as client:
        client.subscribe(instance)
        task_id = _submit(rest, instance, steps=2, seconds=3600)
        shared_deployment.wait_for_step(instance, task_id, "step-1")
        received = rest.post(f"/tasks/{task_id}/cancel").raise_for_status().json()
        assert (received["task"]["status"], received["task"]["cancel_requested"], received["seq"]) == (
            "IN_PROGRESS",
            True,
            5,
        )
        client.wait_for_status(task_id, "CANCELLED")

        again = rest.post(f"/tasks/{task_id}/retry").raise_for_status().json()
        assert (again["task"]["status"], again["seq"]) == ("RETRYING", 8)
        shared_deployment.wait_for_step(instance, task_id, "step-1", attempt=2)
        rest.post(f"/tasks/{task_id}/cancel").raise_for_status()
        shared_deployment.wait_for_task(task_id, "CANCELLED")

        events = shared_deployment.events(instance)
        run = ["QUEUED", "IN_PROGRESS", "step-1 in_progress", "cancel requested", "step-1 failed", "CANCELLED"]
        assert shape(events) == ["SUBMITTED", *run, "RETRYING", *run]
        assert_contiguous(events)
        client.wait_for_seq(instance, len(events))
        assert client.events() == events


def test_a_retried_task_continues_at_the_failed_step(shared_deployment: Deployment, rest: httpx2.Client) -> None:
    instance = shared_deployment.new_instance()
    task_id = _submit(rest, instance, steps=2, fail_at=2, error="permanent")
    assert shared_deployment.wait_for_task(task_id)["status"] == "FAILED"
    rest.post(f"/tasks/{task_id}/retry", json={}).raise_for_status()
    shared_deployment.wait_for_task(task_id, "COMPLETED")
    events = rest.get(f"/instances/{instance}/events", params={"limit": 100}).raise_for_status().json()["items"]
    assert shape(events) == [
        "SUBMITTED", "QUEUED", "IN_PROGRESS", "step-1 in_progress", "step-1 completed", "progress 50",
        "step-2 in_progress", "step-2 failed", "FAILED",
        "RETRYING", "QUEUED", "IN_PROGRESS", "step-2 in_progress", "step-2 completed", "progress 100", "COMPLETED",
    ]  # fmt: skip


def test_one_key_at_two_processes_makes_one_task(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    urls = [web.url for web in shared_deployment.webs] * 10

    def submit(url: str) -> httpx2.Response:
        body = {"kind": "echo", "input": {"message": "once"}}
        address = f"{url}/api/v1/instances/{instance}/tasks"
        return httpx2.post(address, json=body, headers={"Idempotency-Key": "one"}, timeout=60)

    with ThreadPoolExecutor(len(urls)) as pool:
        answers = list(pool.map(submit, urls))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    (task_id,) = {answer.json()["task"]["id"] for answer in answers}
    shared_deployment.wait_for_task(task_id, "COMPLETED")
    assert shape(shared_deployment.events(instance)).count("SUBMITTED") == 1


@pytest.mark.long
def test_a_submission_does_not_wait_for_redis(deployment: Deployment) -> None:
    web = deployment.start_web()
    deployment.start_worker()
    instance = deployment.new_instance()
    deployment.redis.pause()
    try:
        with httpx2.Client(base_url=web.url, timeout=60) as client:
            # More than one, since publishing rests after its first failure.
            for _ in range(5):
                body = {"kind": "echo", "input": {"message": "kept"}}
                client.post(f"/api/v1/instances/{instance}/tasks", json=body).raise_for_status()
            wait_until(lambda: client.get("/readyz").json()["status"] == "degraded", "it says that Redis is away")
            assert client.get("/readyz").status_code == 200
    finally:
        deployment.redis.resume()
    with deployment.runtime().db.read() as session:
        tasks, _ = list_tasks(session, instance, limit=10)
    assert len(tasks) == 5
    for task in tasks:
        assert deployment.wait_for_task(task["id"])["status"] == "COMPLETED"


def test_hostile_bodies_are_refused_and_the_server_continues(
    shared_deployment: Deployment, rest: httpx2.Client
) -> None:
    instance = shared_deployment.new_instance()
    path = f"/instances/{instance}/tasks"
    headers = {"Content-Type": "application/json"}
    for body, status in (
        (b"[" * 10_000, 400),
        (b'{"kind": NaN}', 400),
        (b'{"kind":"echo","input":' + b'{"a":' * 100 + b"1" + b"}" * 101, 422),
        (b'{"kind":"' + b"a" * 300_000 + b'"}', 413),
        (b"\x00" * 100, 400),
    ):
        answer = rest.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    pieces = iter([b'{"kind":"echo",', b'"input":{"message":"a"}}'])
    assert rest.post(path, content=pieces, headers=headers).status_code == 411
    assert rest.get("/instances").status_code == 200
    assert shared_deployment.events(instance) == []


def test_the_examples_of_the_document_can_be_sent_as_they_are(
    shared_deployment: Deployment, rest: httpx2.Client
) -> None:
    instance = shared_deployment.new_instance()
    document = httpx2.get(f"{shared_deployment.webs[0].url}/api/openapi.json", timeout=60).json()
    for kind in ("tasks", "schedules"):
        path = f"/api/v1/instances/{{instance_id}}/{kind}"
        example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
        answer = rest.post(f"/instances/{instance}/{kind}", json=example)
        assert answer.status_code == 201, answer.text
        if kind == "schedules":
            assert rest.delete(f"/schedules/{answer.json()['id']}").status_code == 204


def test_half_a_request_delays_no_other(shared_deployment: Deployment, rest: httpx2.Client) -> None:
    with socket.create_connection(("127.0.0.1", shared_deployment.webs[0].port)) as half:
        half.sendall(b"POST /api/v1/instances HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
        half.sendall(b"Content-Length: 1000\r\n\r\n{")
        assert rest.get("/instances").status_code == 200


def test_events_refer_to_a_large_input_and_its_run_gets_all_of_it(
    shared_deployment: Deployment, rest: httpx2.Client
) -> None:
    instance = shared_deployment.new_instance()
    payload: dict[str, Any] = {"message": "large", "data": {"lines": ["x" * 1000] * 60, "said": "ghp_" + "a1B2" * 9}}
    answer = rest.post(f"/instances/{instance}/tasks", json={"kind": "echo", "input": payload}).raise_for_status()
    task = answer.json()["task"]
    matches = rest.get(f"/artifacts/{task['input']['$artifact']['id']}").raise_for_status().json()
    assert matches == {**payload, "data": {**payload["data"], "said": "[redacted:token]"}}
    assert shared_deployment.wait_for_task(task["id"])["status"] == "COMPLETED"
    refused = rest.post(f"/instances/{instance}/tasks", json={"kind": "echo", "input": {**payload, "message": 5}})
    assert (refused.status_code, refused.json()["field"]) == (422, "input.message")
    (listed,) = rest.get(f"/instances/{instance}/tasks").raise_for_status().json()["items"]
    assert "input" not in listed
