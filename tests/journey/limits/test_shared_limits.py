"""Limits of one caller over several web processes: refused with a time to come back, and served all the same."""

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
#: Enough for a busy machine; with less, a Redis that is there may be taken for one that is not.
PATIENT = {"limit_timeout": 1, "connection_lease": 3}

every_way = pytest.mark.parametrize("way", WAYS)


def _env(way: str = "eventlet", **more: object) -> dict[str, object]:
    return {**GUARDED, **PATIENT, **WAYS[way], **more}


@pytest.fixture
def leaving() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def come_in(token: str, url: str, leaving: ExitStack) -> ResumingRecorder:
    """A client that tries to connect until it is let in."""
    client = show_resuming(token, url)

    def is_let_in() -> bool:
        try:
            client.connect()
        except socketio.exceptions.ConnectionError:
            return False
        return True

    wait_until(is_let_in, "there is a place for one more", every=0.2)
    leaving.callback(client.drop)
    return client


@pytest.mark.long
@every_way
def test_connections_of_a_user_are_capped_over_all_processes(
    new_deployment: NewDeployment, leaving: ExitStack, way: str
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
        leaving.callback(clients[-1].drop)
        clients[-1].follow(author.instance_id)
    for web in webs:
        refusal = find_refusal(web.url, {"token": token})
        assert refusal == {
            "message": f"at most {CAP} connections can be open at once",
            "data": {"code": "too_many", "retry_after_ms": 5000},
        }
        # It is about this user alone.
        leaving.callback(show_resuming(another, web.url).connect().drop)
    # One leaves, and its place is free in the other process.
    clients.pop(0).disconnect()
    clients.append(come_in(token, webs[1].url, leaving))
    clients[-1].follow(author.instance_id)
    assert find_refusal(webs[0].url, {"token": token})["data"]["code"] == "too_many"
    # A process is killed: what it noted is forgotten, and those that stayed got everything.
    webs[0].kill()
    staying = [client for client in clients if client.url == webs[1].url]
    assert len(staying) == CAP - 1
    came = come_in(token, webs[1].url, leaving)
    assert came.follow(author.instance_id)["ok"]
    assert find_refusal(webs[1].url, {"token": token})["data"]["code"] == "too_many"
    author.play()
    for client in staying:
        assert client.wait_for_log(author.instance_id, author.head) == author.told
    assert "Traceback" not in "".join(web.log_text() for web in webs)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["killed", "hanging"])
def test_without_redis_each_process_caps_its_own(new_deployment: NewDeployment, leaving: ExitStack, fault: str) -> None:
    deployment = new_deployment(env=_env(max_user_connections=2))
    webs = [deployment.start_web(), deployment.start_web()]
    author = Author(deployment)
    token = Tenants(deployment).add("vera", "viewer", author.instance_id)
    leaving.callback(show_resuming(token, webs[0].url).connect().drop)
    deployment.redis.pause() if fault == "hanging" else deployment.redis.kill()
    for web, free in zip(webs, (1, 2), strict=True):
        for _ in range(free):
            client = show_resuming(token, web.url).connect()
            leaving.callback(client.drop)
            assert client.follow(author.instance_id)["ok"]
        assert find_refusal(web.url, {"token": token})["data"] == {"code": "too_many", "retry_after_ms": 5000}


def ask(client: ResumingRecorder, event: str, instance_id: str) -> Any:
    """Send a message and return what came of it: nothing, or the error."""
    return client.call(event, {"instance_id": instance_id}).get("error")


def use_up(client: ResumingRecorder, event: str, instance_id: str, limit: int) -> int:
    """Send messages until one is refused; how many were not. The refusal says when to come back."""
    answers: list[Any] = []

    def is_refused() -> bool:
        answers.append(ask(client, event, instance_id))
        assert len(answers) <= limit + 1
        return answers[-1] is not None

    # Slow enough for processes to hear of each other.
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
    new_deployment: NewDeployment, leaving: ExitStack, way: str, limit: str, event: str
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
        leaving.callback(client.drop)
        assert client.follow(author.instance_id)["ok"]
    used = use_up(here, event, author.instance_id, 30)
    assert used <= 30
    # The other process learns of it with the first message that it hears, or soon after, and not after thirty.
    assert use_up(there, event, author.instance_id, 30) < 29
    for client in (here, there):
        assert ask(client, event, author.instance_id)["code"] == "rate_limited"
    assert ask(other, event, author.instance_id) is None
    # Whoever is refused stays connected, and is served.
    if event != "unsubscribe_instance":
        author.play()
        for client in (here, there):
            assert client.wait_for_log(author.instance_id, author.head) == author.told
    assert here.is_connected
    assert there.is_connected


@pytest.mark.long
@pytest.mark.parametrize("fault", ["killed", "hanging"])
def test_without_redis_messages_are_limited_by_each_process_and_clients_are_served(
    new_deployment: NewDeployment, leaving: ExitStack, fault: str
) -> None:
    deployment: Deployment = new_deployment(env=_env(user_subscribe_limit="30/hour"))
    webs = [deployment.start_web(), deployment.start_web()]
    author = Author(deployment)
    token = Tenants(deployment).add("vera", "viewer", author.instance_id)
    clients = [show_resuming(token, web.url).connect() for web in webs]
    for client in clients:
        leaving.callback(client.drop)
        assert client.follow(author.instance_id)["ok"]
    deployment.redis.pause() if fault == "hanging" else deployment.redis.kill()
    for client in clients:
        # One permit went to the subscription above.
        assert use_up(client, "subscribe_instance", author.instance_id, 30) == 29
    author.play()
    for client in clients:
        assert client.wait_for_log(author.instance_id, author.head) == author.told
        assert client.is_connected


def test_what_a_connection_watches_is_capped_and_says_when_to_come_back(
    new_deployment: NewDeployment, leaving: ExitStack
) -> None:
    deployment = new_deployment(env={"max_subscriptions": 2})
    web = deployment.start_web()
    instances = [deployment.new_instance() for _ in range(3)]
    one, two = (ResumingRecorder(web.url).connect() for _ in range(2))
    for client in (one, two):
        leaving.callback(client.drop)
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
