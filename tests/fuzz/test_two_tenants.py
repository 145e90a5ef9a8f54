"""Two tenants perform random actions on themselves and each other; neither receives the other's data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.pair import ENV, Tenant
from tests.harness.deployment import Deployment

pytestmark = pytest.mark.journey

Action = Callable[[Tenant, Tenant], None]


@pytest.fixture
def pair(new_deployment: Callable[..., Deployment]) -> Iterator[tuple[Deployment, Tenant, Tenant]]:
    deployment = new_deployment(env=ENV)
    first, second = deployment.start_web(wait=False), deployment.start_web(wait=False)
    deployment.start_worker(concurrency=2, wait=False)
    for program in (*deployment.webs, *deployment.workers):
        program.wait_ready()
    ann, bob = Tenant(deployment, first.url, "ann", "bob"), Tenant(deployment, second.url, "bob", "ann")
    yield deployment, ann, bob
    ann.close()
    bob.close()


def submit(one: Tenant, other: Tenant) -> None:
    body = {"kind": "echo", "title": one.marker, "input": {"message": f"About {one.marker}"}}
    one.tasks.append(one.request("POST", f"/instances/{one.instance}/tasks", body).json()["task"]["id"])


def submit_failure(one: Tenant, other: Tenant) -> None:
    payload = {"steps": 2, "fail_at": 2, "error": "permanent"}
    body = {"kind": "probe", "title": one.marker, "input": payload}
    one.tasks.append(one.request("POST", f"/instances/{one.instance}/tasks", body).json()["task"]["id"])


def submit_nonsense(one: Tenant, other: Tenant) -> None:
    one.request("POST", f"/instances/{one.instance}/tasks", {"kind": one.marker, "input": {one.marker: [one.marker]}})
    one.request(
        "POST", f"/instances/{one.instance}/schedules", {"name": one.marker, "kind": "echo", "cron": one.marker}
    )


def submit_to_the_other(one: Tenant, other: Tenant) -> None:
    body = {"kind": "echo", "title": one.marker, "input": {"message": one.marker}}
    assert one.request("POST", f"/instances/{other.instance}/tasks", body).status_code == 404


def schedule(one: Tenant, other: Tenant) -> None:
    body = {"name": f"{one.marker} {len(one.schedules)}", "kind": "echo", "input": {"message": one.marker}}
    made = one.request("POST", f"/instances/{one.instance}/schedules", {**body, "interval_seconds": 3600}).json()
    one.schedules.append(made["id"])


def read_own(one: Tenant, other: Tenant) -> None:
    for part in ("", "/tasks", "/events", "/snapshot", "/schedules", "/audit", "/members"):
        one.request("GET", f"/instances/{one.instance}{part}")
    one.request("GET", "/instances")
    for task in one.tasks[-3:]:
        one.request("GET", f"/tasks/{task}")
        one.request("GET", f"/tasks/{task}/steps")


def read_the_others(one: Tenant, other: Tenant) -> None:
    for part in ("", "/tasks", "/events", "/snapshot", "/schedules", "/audit", "/members", "/export", "/policy"):
        assert one.request("GET", f"/instances/{other.instance}{part}").status_code in (404, 405)
    for task in other.tasks[-3:]:
        assert one.request("GET", f"/tasks/{task}").status_code == 404
        assert one.request("GET", f"/tasks/{task}/steps").status_code == 404
    for schedule_id in other.schedules[-3:]:
        assert one.request("GET", f"/schedules/{schedule_id}").status_code == 404


def change_the_others(one: Tenant, other: Tenant) -> None:
    for task in other.tasks[-3:]:
        assert one.request("POST", f"/tasks/{task}/cancel", {}).status_code == 404
        assert one.request("POST", f"/tasks/{task}/retry", {}).status_code == 404
    for schedule_id in other.schedules[-3:]:
        assert one.request("DELETE", f"/schedules/{schedule_id}").status_code == 404


def subscribe_own(one: Tenant, other: Tenant) -> None:
    assert one.emit("subscribe_instance", {"instance_id": one.instance})["ok"]


def subscribe_from_the_start(one: Tenant, other: Tenant) -> None:
    epoch = one.request("GET", f"/instances/{one.instance}/events").json()["epoch"]
    since = {"epoch": epoch, "seq": 0}
    assert one.emit("subscribe_instance", {"instance_id": one.instance, "since": since})["ok"]


def subscribe_to_the_other(one: Tenant, other: Tenant) -> None:
    refused = one.emit("subscribe_instance", {"instance_id": other.instance})
    unknown = one.emit("subscribe_instance", {"instance_id": "nowhere"})
    assert refused == unknown
    assert refused["error"]["code"] == "not_found"
    for task in other.tasks[-3:]:
        assert one.emit("subscribe_task", {"task_id": task})["error"]["code"] == "not_found"


def cancel_and_retry(one: Tenant, other: Tenant) -> None:
    for task in one.tasks[-2:]:
        one.request("POST", f"/tasks/{task}/cancel", {})
        one.request("POST", f"/tasks/{task}/retry", {})


def reconnect(one: Tenant, other: Tenant) -> None:
    one.reconnect()


ACTIONS: list[Action] = [
    submit, submit_failure, submit_nonsense, submit_to_the_other, schedule, read_own, read_the_others,
    change_the_others, subscribe_own, subscribe_from_the_start, subscribe_to_the_other, cancel_and_retry, reconnect,
]  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_no_byte_of_one_tenants_texts_reaches_the_other(pair: tuple[Deployment, Tenant, Tenant], cases: int) -> None:
    deployment, ann, bob = pair

    @settings(
        max_examples=max(5, cases // 20),
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.booleans()), min_size=4, max_size=12))
    def act(actions: list[tuple[Action, bool]]) -> None:
        for action, is_ann in actions:
            # Both receive before each action: the server disconnects a client that answers no pings.
            ann.receive_waiting()
            bob.receive_waiting()
            action(*((ann, bob) if is_ann else (bob, ann)))

    act()
    for one in (ann, bob):
        submit(one, one)
        subscribe_from_the_start(one, one)
        last = one.tasks[-1]
        one.receive_until(lambda p, last=last: p.get("task_id") == last and p["data"].get("status") == "COMPLETED")  # type: ignore[misc]

    for one in (ann, bob):
        assert one.received_own, "the marker was not even sent to whom it belongs"
        assert one.leaked == []
    for tenant in (ann, bob):
        for program in deployment.programs():
            assert tenant.marker not in program.log_text(), program.name
        for web in deployment.webs:
            assert tenant.marker not in read_metrics(deployment, web.url)


def read_metrics(deployment: Deployment, url: str) -> str:
    """Return the metrics, with a token that may read them."""
    answer = httpx2.get(f"{url}/metrics", timeout=60)
    assert not re.search("zebrafinch", answer.text)
    return answer.text
