"""A caller has one limit over several web processes; a refusal names the time to try again and keeps the client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import socketio

from tests.harness.deployment import Deployment
from tests.harness.recorder import ResumingRecorder
from tests.harness.server_modes import WAYS
from tests.harness.waiting import wait_until
from tests.journey.authenticated_deployment import GUARDED, NewDeployment, Tenants, find_refusal, show_resuming
from tests.journey.event_writer import Author

CAP = 4
#: Long enough for a busy machine; with less, a slow Redis may count as unavailable.
PATIENT = {"limit_timeout": 1, "connection_lease": 3}

every_way = pytest.mark.parametrize("way", WAYS)


def _env(way: str = "eventlet", **more: object) -> dict[str, object]:
    return {**GUARDED, **PATIENT, **WAYS[way], **more}


@pytest.fixture
def cleanup() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect_when_free(token: str, url: str, cleanup: ExitStack) -> ResumingRecorder:
    """Return a client, after it has tried to connect until it is accepted."""
    client = show_resuming(token, url)

    def is_connected() -> bool:
        try:
            client.connect()
        except socketio.exceptions.ConnectionError:
            return False
        return True

    wait_until(is_connected, "a connection is free", every=0.2)
    cleanup.callback(client.drop)
    return client


@pytest.mark.long
@every_way
def test_connections_of_a_user_are_capped_over_all_processes(
    new_deployment: NewDeployment, cleanup: ExitStack, way: str
) -> None:
    deployment = new_deployment(env=_env(way, max_user_connections=CAP))
    webs = [deployment.start_web(), deployment.start_web()]
    author = Author(deployment)
    tenants = Tenants(deployment)
    token = tenants.add("vera", "viewer", author.instance_id)
    another = tenants.add("otto", "viewer", author.instance_id)
    clients = []
    for number in range(CAP):
        clients.append(show_resuming(token, webs[number % 2].url).connect())
        cleanup.callback(clients[-1].drop)
        clients[-1].follow(author.instance_id)
    for web in webs:
        refusal = find_refusal(web.url, {"token": token})
        assert refusal == {
            "message": f"at most {CAP} connections can be open at once",
            "data": {"code": "too_many", "retry_after_ms": 5000},
        }
        # The limit is for this user alone.
        cleanup.callback(show_resuming(another, web.url).connect().drop)
    # One disconnects, and the other process accepts one more.
    clients.pop(0).disconnect()
    clients.append(connect_when_free(token, webs[1].url, cleanup))
    clients[-1].follow(author.instance_id)
    assert find_refusal(webs[0].url, {"token": token})["data"]["code"] == "too_many"
    # After a process is killed its numbers expire, and the other clients got everything.
    webs[0].kill()
    staying = [client for client in clients if client.url == webs[1].url]
    assert len(staying) == CAP - 1
    newcomer = connect_when_free(token, webs[1].url, cleanup)
    assert newcomer.follow(author.instance_id)["ok"]
    assert find_refusal(webs[1].url, {"token": token})["data"]["code"] == "too_many"
    author.play()
    for client in staying:
        assert client.wait_for_log(author.instance_id, author.head) == author.events
    assert "Traceback" not in "".join(web.log_text() for web in webs)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["killed", "hanging"])
def test_without_redis_each_process_caps_its_own(new_deployment: NewDeployment, cleanup: ExitStack, fault: str) -> None:
    deployment = new_deployment(env=_env(max_user_connections=2))
    webs = [deployment.start_web(), deployment.start_web()]
    author = Author(deployment)
    token = Tenants(deployment).add("vera", "viewer", author.instance_id)
    cleanup.callback(show_resuming(token, webs[0].url).connect().drop)
    deployment.redis.pause() if fault == "hanging" else deployment.redis.kill()
    for web, free in zip(webs, (1, 2), strict=True):
        for _ in range(free):
            client = show_resuming(token, web.url).connect()
            cleanup.callback(client.drop)
            assert client.follow(author.instance_id)["ok"]
        assert find_refusal(web.url, {"token": token})["data"] == {"code": "too_many", "retry_after_ms": 5000}


def ask(client: ResumingRecorder, event: str, instance_id: str) -> Any:
    """Send a message; return its error, or None."""
    return client.call(event, {"instance_id": instance_id}).get("error")


def use_up(client: ResumingRecorder, event: str, instance_id: str, limit: int) -> int:
    """Send messages until one is refused; return how many were accepted. The refusal says when to try again."""
    answers: list[Any] = []

    def is_refused() -> bool:
        answers.append(ask(client, event, instance_id))
        assert len(answers) <= limit + 1
        return answers[-1] is not None

    # Slow enough for the processes to exchange their counts.
    wait_until(is_refused, "a message is refused", every=0.1)
    error = answers[-1]
    assert error["code"] == "rate_limited"
    assert 0 < error["retry_after_ms"] <= 3_600_000
    assert client.payloads("error")[-1] == error
    return len(answers) - 1


@pytest.mark.long
@every_way
@pytest.mark.parametrize(
    ("limit", "event"), [("user_message_limit", "unsubscribe_instance"), ("user_subscribe_limit", "subscribe_instance")]
)
def test_connections_of_a_token_share_a_rate_over_all_processes(
    new_deployment: NewDeployment, cleanup: ExitStack, way: str, limit: str, event: str
) -> None:
    deployment = new_deployment(env=_env(way, **{limit: "30/hour"}))
    webs = [deployment.start_web(), deployment.start_web()]
    author = Author(deployment)
    tenants = Tenants(deployment)
    token = tenants.add("vera", "viewer", author.instance_id)
    another = tenants.add("otto", "viewer", author.instance_id)
    here, there = (show_resuming(token, web.url).connect() for web in webs)
    other = show_resuming(another, webs[1].url).connect()
    for client in (here, there, other):
        cleanup.callback(client.drop)
        assert client.follow(author.instance_id)["ok"]
    used = use_up(here, event, author.instance_id, 30)
    assert used <= 30
    # The other process learns the count with its first message or soon after, and before thirty.
    assert use_up(there, event, author.instance_id, 30) < 29
    for client in (here, there):
        assert ask(client, event, author.instance_id)["code"] == "rate_limited"
    assert ask(other, event, author.instance_id) is None
    # A refused client stays connected, and gets every event.
    if event != "unsubscribe_instance":
        author.play()
        for client in (here, there):
            assert client.wait_for_log(author.instance_id, author.head) == author.events
    assert here.is_connected
    assert there.is_connected


@pytest.mark.long
@pytest.mark.parametrize("fault", ["killed", "hanging"])
def test_without_redis_messages_are_limited_by_each_process_and_clients_are_served(
    new_deployment: NewDeployment, cleanup: ExitStack, fault: str
) -> None:
    deployment: Deployment = new_deployment(env=_env(user_subscribe_limit="30/hour"))
    webs = [deployment.start_web(), deployment.start_web()]
    author = Author(deployment)
    token = Tenants(deployment).add("vera", "viewer", author.instance_id)
    clients = [show_resuming(token, web.url).connect() for web in webs]
    for client in clients:
        cleanup.callback(client.drop)
        assert client.follow(author.instance_id)["ok"]
    deployment.redis.pause() if fault == "hanging" else deployment.redis.kill()
    for client in clients:
        # The subscription above used one.
        assert use_up(client, "subscribe_instance", author.instance_id, 30) == 29
    author.play()
    for client in clients:
        assert client.wait_for_log(author.instance_id, author.head) == author.events
        assert client.is_connected


def test_the_subscriptions_of_a_connection_are_limited(new_deployment: NewDeployment, cleanup: ExitStack) -> None:
    deployment = new_deployment(env={"max_subscriptions": 2})
    web = deployment.start_web()
    instances = [deployment.new_instance() for _ in range(3)]
    one, two = (ResumingRecorder(web.url).connect() for _ in range(2))
    for client in (one, two):
        cleanup.callback(client.drop)
        answers = [client.call("subscribe_instance", {"instance_id": each}) for each in instances]
        assert [answer["ok"] for answer in answers] == [True, True, False]
        assert answers[2]["error"] == {
            "code": "too_many",
            "message": "at most 2 instances and tasks can be watched at once",
            "retry_after_ms": 5000,
        }
        assert client.payloads("error") == [answers[2]["error"]]
    one.unsubscribe(instances[0])
    assert one.call("subscribe_instance", {"instance_id": instances[2]})["ok"]
