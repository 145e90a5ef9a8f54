"""The audit log holds refusals by Socket.IO: of a connection, a subscription, a renewed token."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from swallowtail.app.core.tables.audit import AuditEntry
from tests.harness.deployment import Deployment
from tests.harness.waiting import wait_until
from tests.journey.authenticated_deployment import GUARDED, NewDeployment, Tenants, find_refusal, show_resuming
from tests.journey.event_writer import Author

MODES: dict[str, dict[str, object]] = {
    "eventlet": {},
    "gevent": {"async_mode": "gevent"},
    "threading": {"async_mode": "threading"},
    "stock": {"engine": "stock"},
}


def read_refused(deployment: Deployment) -> list[AuditEntry]:
    with deployment.runtime().db.read() as session:
        about = select(AuditEntry).where(AuditEntry.action.in_(["denied", "token.refused"]))
        return list(session.scalars(about.order_by(AuditEntry.at, AuditEntry.number)))


@pytest.mark.parametrize("mode", MODES)
def test_a_refusal_over_socket_io_is_audited_once(new_deployment: NewDeployment, mode: str) -> None:
    deployment = new_deployment(env={**GUARDED, **MODES[mode]})
    web = deployment.start_web()
    author, other = Author(deployment), Author(deployment)
    tenants = Tenants(deployment)
    token = tenants.add("vera", "viewer", author.instance_id)
    page = tenants.issue(other.instance_id)
    tenants.revoke(page["secret"])
    task_id = other.play()
    for _ in range(3):
        assert find_refusal(web.url, {"token": page["secret"]})["data"]["code"] == "unauthenticated"
        assert find_refusal(web.url, {"token": "nonsense"})["data"]["code"] == "unauthenticated"
    assert find_refusal(web.url)["data"]["code"] == "unauthenticated"
    with show_resuming(token, web.url) as vera:
        for _ in range(3):
            assert not vera.call("subscribe_instance", {"instance_id": other.instance_id})["ok"]
            assert not vera.call("subscribe_instance", {"instance_id": "nowhere"})["ok"]
            assert not vera.call("subscribe_task", {"task_id": task_id})["ok"]
            assert not vera.call("refresh_token", {"token": tenants.page(author.instance_id)})["ok"]
        assert vera.call("subscribe_instance", {"instance_id": author.instance_id})["ok"]
    wait_until(
        lambda: len(read_refused(deployment)) >= 5, "refusals are written", seen=lambda: len(read_refused(deployment))
    )
    matches = read_refused(deployment)
    received = sorted((e.scope, e.action, e.object_type, e.object_id, e.actor_name, e.detail["act"]) for e in matches)
    assert received == sorted(
        [
            (other.instance_id, "token.refused", "token", page["token"]["id"], "", "connect"),
            ("", "token.refused", "token", "", "", "connect"),
            (other.instance_id, "denied", "instance", other.instance_id, "vera", "subscribe_instance"),
            (other.instance_id, "denied", "task", task_id, "vera", "subscribe_task"),
            ("", "denied", "", "", "vera", "refresh_token"),
        ]
    )
    assert {(e.entrance, e.address) for e in matches} == {("socket", "127.0.0.1")}
    web.terminate()
    # Counted refusals are written at the end of the process.
    assert [entry.detail["more"] for entry in read_refused(deployment) if "more" in entry.detail] == [2] * 5


@pytest.mark.long
def test_refusals_over_sockets_do_not_fill_the_log(new_deployment: NewDeployment) -> None:
    most = 3
    deployment = new_deployment(env={**GUARDED, "max_refusals": most, "refusal_window": 600})
    web = deployment.start_web()
    author = Author(deployment)
    tenants = Tenants(deployment)
    token = tenants.add("vera", "viewer", author.instance_id)
    others = [Author(deployment).instance_id for _ in range(6)]
    with show_resuming(token, web.url) as vera:
        for _ in range(50):
            for instance_id in others:
                assert not vera.call("subscribe_instance", {"instance_id": instance_id})["ok"]
        assert vera.call("subscribe_instance", {"instance_id": author.instance_id})["ok"]
    web.terminate()
    matches = read_refused(deployment)
    assert sum(entry.detail.get("more", 1) for entry in matches) == 50 * len(others)
    assert len(matches) <= 2 * most + 1
