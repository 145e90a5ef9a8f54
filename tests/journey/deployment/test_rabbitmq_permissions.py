"""The documented permissions let every process use RabbitMQ, within its own queues only."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from amqp.exceptions import AccessRefused
from kombu import Connection

from swallowtail.app.core.schemas.schedules import NewSchedule
from swallowtail.app.core.services.schedules import add_schedule
from tests.harness.deployment import Deployment
from tests.harness.program import ROOT
from tests.harness.recorder import Recorder
from tests.harness.servers import RabbitServer
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.long

USERS = ("web", "worker", "beat")
VHOST = "least"
#: As `core/deployment_identity` names it.
QUEUE = "swallowtail.0123abcd"


def documented() -> list[dict[str, str]]:
    """The permissions that docs/brokers.md gives, as RabbitMQ takes them."""
    page = (ROOT / "docs/brokers.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (rabbitmqctl set_permissions(?:.*\\\n)*.*)$", page, re.MULTILINE)
    matches = []
    for command in commands:
        *_, user, configure, write, read = shlex.split(command.replace("\\\n", " "))
        matches.append({"user": user, "vhost": VHOST, "configure": configure, "write": write, "read": read})
    return matches


def hashed(password: str) -> str:
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


@pytest.fixture(scope="module")
def guarded(rabbit_server: RabbitServer) -> RabbitServer:
    """A broker with the users of the documentation, in a virtual host of their own, and `root`."""
    everything = {"user": "root", "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}
    permissions = documented()
    assert sorted(one["user"] for one in permissions) == sorted(USERS)
    users = [{"name": name, "password_hash": hashed(name), "tags": ""} for name in (*USERS, "root")]
    for user in users:
        user["hashing_algorithm"] = "rabbit_password_hashing_sha256"
    rabbit_server.define({"users": users, "vhosts": [{"name": VHOST}], "permissions": [*permissions, everything]})
    return rabbit_server


@pytest.fixture
def deployment(guarded: RabbitServer, new_deployment: Callable[..., Deployment]) -> Deployment:
    """A deployment whose own submissions are those of a web process."""
    return new_deployment(broker_url=guarded.as_user("web", "web", VHOST), env={"queue": "swallowtail"})


def start(deployment: Deployment, server: RabbitServer) -> None:
    """Start one of each, as its own user."""
    urls = {name: {"broker_url": server.as_user(name, name, VHOST)} for name in USERS}
    deployment.start_web(env=urls["web"])
    deployment.start_worker(env=urls["worker"])
    deployment.start_beat(env=urls["beat"])


def refusals(server: RabbitServer) -> list[str]:
    """What the broker has refused in this test."""
    return [line for line in server.test_tail(100_000).splitlines() if "refused" in line]


def test_a_whole_task_and_a_schedule_run_with_least_rights(deployment: Deployment, guarded: RabbitServer) -> None:
    before = refusals(guarded)
    start(deployment, guarded)
    instance_id = deployment.new_instance()
    with Recorder(deployment.webs[0].url) as client:
        client.subscribe(instance_id)
        task_id = deployment.submit(instance_id, "echo", {"message": "hello"})
        assert deployment.wait_for_task(task_id)["status"] == "COMPLETED"
        head = deployment.events(instance_id)[-1]["seq"]
        client.wait_for_seq(instance_id, head)
        assert client.events() == deployment.events(instance_id)
    plan = NewSchedule(name="often", kind="echo", input={"message": "again"}, interval_seconds=1.0)
    add_schedule(deployment.runtime(), instance_id, plan)
    deployment.wait_for_event(
        instance_id,
        lambda event: event["task_id"] != task_id and event["data"].get("status") == "COMPLETED",
        "a task of the schedule is done",
    )
    assert refusals(guarded) == before


@contextmanager
def channel_of(server: RabbitServer, name: str) -> Iterator[Any]:
    """A channel of a user's, on which a publish that is refused raises."""
    url = server.as_user(name, name, VHOST)
    with Connection(url, transport_options={"confirm_publish": True}) as connection:
        yield connection.channel()


def is_refused(server: RabbitServer, name: str, action: Callable[[Any], object]) -> bool:
    try:
        with channel_of(server, name) as channel:
            action(channel)
    except AccessRefused:
        return True
    return False


def publish(exchange: str, key: str) -> Callable[[Any], object]:
    return lambda channel: channel.basic_publish(
        channel.prepare_message("{}", content_encoding="utf-8"), exchange=exchange, routing_key=key
    )


FORBIDDEN: dict[str, Callable[[Any], object]] = {
    "take from the queue": lambda channel: channel.basic_get(QUEUE),
    "empty the queue": lambda channel: channel.queue_purge(QUEUE),
    "read a worker's control queue": lambda channel: channel.basic_get("someone@somewhere.celery.pidbox"),
    "declare a worker's control queue": lambda channel: channel.queue_declare("other@somewhere.celery.pidbox"),
    "broadcast to all workers": publish("celery.pidbox", ""),
    "answer for a worker": publish("reply.celery.pidbox", "x"),
    "declare a queue": lambda channel: channel.queue_declare("not-ours"),
    "declare an exchange": lambda channel: channel.exchange_declare("not-ours", "fanout"),
    "read another program's queue": lambda channel: channel.basic_get("theirs"),
    "publish to another program's exchange": publish("amq.fanout", ""),
}
#: What a worker is allowed beside the others.
WORKERS = {
    "take from the queue",
    "empty the queue",
    "read a worker's control queue",
    "declare a worker's control queue",
    "answer for a worker",
}


@pytest.fixture
def furnished(guarded: RabbitServer) -> RabbitServer:
    """The broker with the queues and exchanges of running workers, and one of another program."""
    with channel_of(guarded, "root") as channel:
        for name in (QUEUE, "someone@somewhere.celery.pidbox", "theirs"):
            channel.queue_declare(name, durable=name == QUEUE, auto_delete=False)
        channel.exchange_declare("celery.pidbox", "fanout", durable=False, auto_delete=False)
        channel.exchange_declare("reply.celery.pidbox", "direct", durable=False, auto_delete=False)
    return guarded


@pytest.mark.parametrize("name", USERS)
def test_each_account_is_denied_what_it_does_not_need(furnished: RabbitServer, name: str) -> None:
    allowed = WORKERS if name == "worker" else set()
    done = {what for what, action in FORBIDDEN.items() if not is_refused(furnished, name, action)}
    assert done == allowed


def test_every_account_may_put_a_wake_up_into_the_queue(furnished: RabbitServer) -> None:
    for name in USERS:
        assert not is_refused(furnished, name, publish("", QUEUE))
    with channel_of(furnished, "root") as channel:
        wait_until(lambda: channel.queue_declare(QUEUE, passive=True).message_count >= 3, "they are there")
        channel.queue_purge(QUEUE)
