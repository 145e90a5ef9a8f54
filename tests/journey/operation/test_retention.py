"""Retention and a new epoch, as clients of a real web process see them."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx2
import pytest

from swallowtail.app.core.tables.instances import Instance
from tests.harness.deployment import Deployment
from tests.harness.recorder import Recorder
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author

NewDeployment = Callable[..., Deployment]


def min_seq(deployment: Deployment, instance_id: str) -> int:
    with deployment.runtime().db.read() as session:
        return session.get_one(Instance, instance_id).min_seq


@pytest.mark.long
def test_clients_that_need_pruned_events_get_a_snapshot(new_deployment: NewDeployment) -> None:
    deployment = new_deployment(env={"head_check": 0.1, "snapshot_share": 0})
    web = deployment.start_web()
    author = Author(deployment)
    author.play()
    with Recorder(web.url) as witness, Recorder(web.url) as late:
        live = witness.call("subscribe_instance", {"instance_id": author.instance_id})
        since = {"epoch": live["epoch"], "seq": 2}
        assert late.call("subscribe_instance", {"instance_id": author.instance_id, "since": since})["mode"] == "replay"
        foreseen = deployment.cli("prune", "--instance", author.instance_id, "--events", "3", "--dry-run", "--json")
        assert min_seq(deployment, author.instance_id) == 0
        done = deployment.cli("prune", "--instance", author.instance_id, "--events", "3", "--json")
        received = json.loads(done.stdout)
        assert received == {**json.loads(foreseen.stdout), "dry_run": False}
        assert (received["events"], received["min_seq"]) == (live["head"] - 3, live["head"] - 3)

        def answer() -> dict[str, object]:
            matches: dict[str, object] = late.call("subscribe_instance", {"instance_id": author.instance_id})
            return matches

        wait_until(lambda: answer()["min_seq"] == received["min_seq"], "the web process knows", seen=answer)
        with Recorder(web.url) as newcomer:
            fresh = newcomer.call("subscribe_instance", {"instance_id": author.instance_id, "since": since})
            assert (fresh["mode"], fresh["head"], fresh["min_seq"]) == ("snapshot", live["head"], received["min_seq"])
        rest = httpx2.get(f"{web.url}/api/v1/instances/{author.instance_id}/events", params={"since": 2}, timeout=30)
        assert (rest.status_code, rest.json()["code"], rest.json()["min_seq"]) == (410, "too_old", received["min_seq"])
        author.play()
        witness.wait_until(
            lambda: [event["seq"] for event in witness.events()] == list(range(live["head"] + 1, live["head"] + 9)),
            "a client that is up to date misses nothing",
        )
        assert witness.count("reset") == 0


@pytest.mark.long
def test_a_web_process_prunes_expired_data(new_deployment: NewDeployment) -> None:
    deployment = new_deployment(env={"event_retention_events": 5, "prune_floor": 0, "prune_interval": 0.5})
    web = deployment.start_web()
    author = Author(deployment)
    author.play()
    author.play()
    head = 16
    wait_until(
        lambda: min_seq(deployment, author.instance_id) == head - 5,
        "it prunes",
        seen=lambda: min_seq(deployment, author.instance_id),
    )
    with Recorder(web.url) as client:
        answer = client.call("subscribe_instance", {"instance_id": author.instance_id})
        assert (answer["head"], answer["min_seq"]) == (head, head - 5)
    text = httpx2.get(f"{web.url}/metrics", timeout=30).text
    assert 'swallowtail_pruned_total{kind="events"} 11.0' in text


@pytest.mark.long
def test_a_new_epoch_by_the_command_line_resets_all_clients(new_deployment: NewDeployment) -> None:
    deployment = new_deployment(env={"head_check": 0.1})
    web = deployment.start_web()
    author = Author(deployment)
    author.play()
    with Recorder(web.url) as client:
        before = client.call("subscribe_instance", {"instance_id": author.instance_id})
        renewed = deployment.cli("instances", "renew-epoch", author.instance_id, "--json")
        received = json.loads(renewed.stdout)
        client.wait_until(lambda: client.count("reset") == 1, "it receives a reset")
        assert client.payloads("reset") == [{"instance_id": author.instance_id, "reason": "epoch"}]
        since = {"epoch": before["epoch"], "seq": before["head"]}
        again = client.call("subscribe_instance", {"instance_id": author.instance_id, "since": since})
        assert (again["mode"], again["epoch"], again["head"]) == ("snapshot", received["epoch"], before["head"])
        author.play()
        client.wait_until(lambda: len(client.events()) == 8, "it goes on")
        assert {event["epoch"] for event in client.events()} == {received["epoch"]}
