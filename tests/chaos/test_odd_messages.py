"""Messages on the queue that our relays did not send: the worker discards and logs them, and continues."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any

import amqp
import pytest
from kombu import Connection

from swallowtail.app.core.ledger.outbox import RUN_TASK, make_sender
from swallowtail.workers.broker import redis_channel
from swallowtail.workers.broker.message_check import CheckedConnection
from tests.harness.deployment import Deployment
from tests.harness.fast_settings import BRISK
from tests.harness.tasks.event_lines import BEGINNING, steps, story
from tests.workers.broker.test_amqp_channel import ODD as UNREADABLE

UNKNOWN_ID = str(uuid.uuid4())
HEADERS = {"lang": "py", "task": RUN_TASK, "id": "odd"}


class RawMessage(amqp.Message):
    """A message of RabbitMQ with properties as bytes."""

    def __init__(self, properties: bytes) -> None:
        super().__init__("[]")
        self._raw = properties

    def _serialize_properties(self) -> bytes:
        return self._raw


def item(body: Any = None, **changed: Any) -> bytes:
    """Return an item of a Redis queue as Kombu creates it, with changes; None leaves a part out."""
    encoded = json.dumps([[UNKNOWN_ID, 1], {}, {}] if body is None else body).encode()
    address = {"exchange": "", "routing_key": "odd"}
    properties = {"delivery_tag": str(uuid.uuid4()), "delivery_info": address, "body_encoding": "base64"}
    whole = {
        "body": base64.b64encode(encoded).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": HEADERS,
        "properties": {**properties, **changed.pop("properties", {})},
    }
    return json.dumps({key: value for key, value in {**whole, **changed}.items() if value is not None}).encode()


JUNK = [
    b"junk",
    b"\xff\xfe\x00",
    b"",
    b"5",
    b"null",
    b"[]",
    b"{}",
    b"[" * 100_000,
    b'{"__type__": "decimal", "__value__": "x"}',
    b'{"properties": {}}',
    item(body="not base64!"),
    item(headers=None),
    item(headers=5),
    item(headers={"task": [RUN_TASK], "id": "odd"}),
    item(headers={**HEADERS, "id": {}}),
    item(headers={**HEADERS, "timelimit": ["soon", []]}),
    item(
        headers={**HEADERS, "compression": "application/x-gzip"}, **{"content-type": "application/x-python-serialize"}
    ),
    item(5),
    item([5]),
    item([[UNKNOWN_ID, "1"], {}, {}]),
    item([[UNKNOWN_ID, True], {}, {}]),
    item([[UNKNOWN_ID, 1], {"mark": 1}, {}]),
    item([[UNKNOWN_ID, 1], {}, {"callbacks": [{"task": RUN_TASK, "args": [UNKNOWN_ID, 1], "kwargs": {}}]}]),
    item(headers={**HEADERS, "task": "celery.accumulate"}),
    item(headers={**HEADERS, "task": "celery.backend_cleanup"}),
    item(properties={"delivery_tag": []}),
    item(properties={"delivery_tag": None}),
    item(properties={"delivery_info": "here"}),
    item(properties={"body_encoding": "rot13"}),
    b'{"properties": 5}',
]


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("another.task", [UNKNOWN_ID, 1]),
        (RUN_TASK, [UNKNOWN_ID, 1]),
        (RUN_TASK, [UNKNOWN_ID]),
        (RUN_TASK, ["no id", "no number", {}]),
    ],
    ids=["unknown task", "no such row", "too few arguments", "wrong arguments"],
)
def test_the_worker_continues_after_a_foreign_message(
    limited_deployment: Deployment, name: str, args: list[object]
) -> None:
    instance = limited_deployment.new_instance()
    settings = limited_deployment.runtime().settings
    with make_sender(settings) as sender:
        sender.send_task(name, args=args, queue=settings.queue)
        task = limited_deployment.submit(instance, "probe", {"steps": 1})
        limited_deployment.wait_for_task(task)

    assert story(limited_deployment.events(instance)) == [*BEGINNING, *steps(1, "step-1"), "1: 100%", "1: COMPLETED"]


def test_no_item_of_a_redis_queue_ends_the_worker(limited_deployment: Deployment) -> None:
    worker, queue = limited_deployment.workers[0], limited_deployment.runtime().settings.queue
    pid, before = worker.pid, worker.log_text().count("message_unreadable")
    instance = limited_deployment.new_instance()
    with limited_deployment.redis.client() as redis:
        for junk in JUNK:
            redis.lpush(queue, junk)
    task = limited_deployment.submit(instance, "probe", {"steps": 1})
    assert limited_deployment.wait_for_task(task)["status"] == "COMPLETED"
    assert worker.log_text().count("message_unreadable") - before == len(JUNK)
    assert (worker.pid, worker.is_running) == (pid, True)
    assert "Traceback" not in worker.log_text()


@pytest.mark.long
@pytest.mark.parametrize("of_another_type", [False, True])
def test_nothing_in_the_keys_of_kombu_stops_a_worker(
    new_deployment: Callable[..., Deployment], of_another_type: bool
) -> None:
    """Neither at its start nor later: unacknowledged messages, bindings and queues of other programs."""
    deployment = new_deployment(env=BRISK)
    queue = deployment.runtime().settings.queue
    tables = ("celery.pidbox", "reply.celery.pidbox", "celeryev", "celery", queue, f"{queue}.direct")
    lists = [queue, *(f"{queue}\x06\x16{step}" for step in (3, 6, 9))]
    sets = [f"_kombu.{what}.{table}" for what in ("binding", "binding_permanent") for table in tables]

    def spoil() -> None:
        with deployment.redis.client() as redis:
            if of_another_type:
                # Kombu's own value is a string; all others are not.
                redis.delete("unacked", "unacked_index", "unacked_mutex", *sets)
                redis.lpush("unacked_mutex", "junk")
                redis.mset(dict.fromkeys(["unacked", "unacked_index", *lists, *sets], "junk"))
                return
            items: list[bytes] = [*JUNK, json.dumps([1, 2, 3]).encode(), json.dumps([{}, "", {}]).encode()]
            for number, item in enumerate(items):
                redis.hset("unacked", f"tag{number}", item)
                redis.zadd("unacked_index", {f"tag{number}": number})
            redis.zadd("unacked_index", {b"\xff": 1, b"none": 0, b"": 2})
            redis.set("unacked_mutex", b"\xff")
            for name in sets:
                redis.sadd(name, b"junk", b"\xff\xfe", b"", b"\x06\x16", b"a\x06\x16b\x06\x16c\x06\x16d")

    spoil()
    worker = deployment.start_worker(concurrency=1)
    pid, instance = worker.pid, deployment.new_instance()
    for _ in range(2):
        assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"
        spoil()
    assert (worker.pid, worker.is_running) == (pid, True)
    assert "Traceback" not in worker.log_text()
    assert ("keys_unusable" in worker.log_text()) is of_another_type


def test_a_message_that_no_child_began_is_returned(new_deployment: Callable[..., Deployment]) -> None:
    """A stopping worker returns it to the queue unchanged, and not to a key that others read."""
    deployment = new_deployment(env=BRISK)
    settings = deployment.runtime().settings
    raw = json.loads(item([[UNKNOWN_ID, 1], {}, {}]))
    with CheckedConnection(settings.broker) as connection, deployment.redis.client() as redis:
        channel: Any = connection.channel()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(redis_channel, "deployment_settings", lambda: settings)
            channel.qos.append(redis_channel.RedisMessage(raw, channel), "tag")
            channel.close()
        assert [json.loads(one) for one in redis.lrange(settings.queue, 0, -1)] == [raw]
        assert not redis.keys("unacked*")


def test_extra_fields_of_a_wakeup_change_nothing(limited_deployment: Deployment) -> None:
    """Neither the time of the run, nor its expiry, nor callbacks."""
    instance = limited_deployment.new_instance()
    task = limited_deployment.submit(instance, "probe", {"steps": 1})
    more = {"eta": "2999-01-01T00:00:00Z", "expires": "2001-01-01T00:00:00Z", "group": "x", "retries": "many"}
    with limited_deployment.redis.client() as redis:
        redis.lpush(limited_deployment.runtime().settings.queue, item([[task, 1], {}, {}], headers={**HEADERS, **more}))
    assert limited_deployment.wait_for_task(task)["status"] == "COMPLETED"
    assert story(limited_deployment.events(instance)) == [*BEGINNING, *steps(1, "step-1"), "1: 100%", "1: COMPLETED"]


@pytest.mark.long
def test_no_message_of_a_rabbitmq_queue_ends_the_worker(
    new_deployment: Callable[..., Deployment], rabbit_url: str
) -> None:
    deployment = new_deployment(broker_url=rabbit_url)
    worker = deployment.start_worker(concurrency=1)
    bodies = [b"junk", b"\xff\xfe", b"", b"5", b"[[]]", b"null", json.dumps([[UNKNOWN_ID, "1"], {}, {}]).encode()]
    odd: list[dict[str, Any]] = [{"headers": {}}, {"headers": {"task": "celery.accumulate", "id": "odd"}}]
    odd += [
        {"headers": {**HEADERS, "id": 5}},
        {"content_type": "application/x-python-serialize"},
        {"content_type": None},
    ]
    # RabbitMQ refuses the others itself.
    taken = ("a type", "an encoding", "a moment", "tables")
    unreadable = [UNREADABLE[name] for name in UNREADABLE if name.startswith(taken)]
    with Connection(rabbit_url) as connection, connection.Producer() as producer:
        for body in bodies:
            for changed in [{}, *odd]:
                message = {
                    "headers": HEADERS,
                    "content_type": "application/json",
                    "content_encoding": "utf-8",
                    **changed,
                }
                producer.publish(body, exchange="", routing_key=deployment.runtime().settings.queue, **message)
        squeezed: dict[str, Any] = {
            "headers": {**HEADERS, "compression": "application/x-gzip"},
            "content_type": "application/json",
        }
        queue = deployment.runtime().settings.queue
        producer.publish(b"[]", exchange="", routing_key=queue, content_encoding="utf-8", **squeezed)
        channel: Any = connection.channel()
        for properties in unreadable:
            channel.basic_publish(RawMessage(properties), exchange="", routing_key=queue)
        # To a missing queue, with a copy to ours.
        channel.basic_publish(amqp.Message("[]", application_headers={"CC": [queue]}), exchange="", routing_key=b"\xff")
    instance = deployment.new_instance()
    assert deployment.wait_for_task(deployment.submit(instance, "probe", {"steps": 1}))["status"] == "COMPLETED"
    assert worker.log_text().count("message_unreadable") == len(bodies) * (1 + len(odd)) + 2 + len(unreadable)
    assert "Traceback" not in worker.log_text()


def test_a_revoked_message_cancels_its_task(limited_deployment: Deployment) -> None:
    """Revoking is Celery's way to cancel; an operator may use it, and clients see it."""
    instance = limited_deployment.new_instance()
    task = limited_deployment.submit(instance, "probe", {"steps": 1, "seconds": 600, "blocking": True})
    limited_deployment.wait_for_step(instance, task, "step-1")
    with make_sender(limited_deployment.runtime().settings) as sender:
        [running] = [one for worker in (sender.control.inspect().active() or {}).values() for one in worker]
        sender.control.revoke(running["id"], terminate=True, signal="SIGKILL")
        limited_deployment.wait_for_task(task)

    assert story(limited_deployment.events(instance)) == [
        *BEGINNING,
        "1: step-1 in_progress",
        "1: step-1 failed cancelled",
        "1: CANCELLED",
    ]
