"""The Python client with a real server and worker: exact lists of events, waits, live text, and outages."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swallowtail.client import AsyncClient, Client, Event, LiveUpdate, NotFound, Reset
from tests.harness.deployment import Deployment

pytestmark = pytest.mark.journey


@pytest.fixture
def client(shared_deployment: Deployment) -> Iterator[Client]:
    with Client(shared_deployment.webs[0].url) as client:
        yield client


def raw(items: list[Any]) -> list[Any]:
    return [item.raw for item in items]


def test_a_task_is_watched_from_its_beginning_to_its_end(shared_deployment: Deployment, client: Client) -> None:
    instance = shared_deployment.new_instance()
    client.submit("echo", {"message": "another"}, instance=instance)
    task = client.submit("echo", {"message": "hi"}, instance=instance).task
    events = list(client.watch(instance, task=task.id))
    stored = [event for event in shared_deployment.events(instance) if event["task_id"] == task.id]
    assert raw(events) == stored
    assert raw(list(client.watch(instance, task=task.id))) == stored
    assert client.wait(task.id).result == client.get(task.id).result
    assert raw(list(client.events(instance))) == shared_deployment.events(instance)


def test_a_stream_of_an_instance_begins_at_the_call(shared_deployment: Deployment, client: Client) -> None:
    instance = shared_deployment.new_instance()
    client.wait(client.submit("echo", {"message": "before"}, instance=instance).task.id, timeout=60)
    seq = client.request("GET", f"/api/v1/instances/{instance}")["seq"]
    with client.watch(instance) as stream:
        task = client.submit("echo", {"message": "hi"}, instance=instance).task
        events = [next(stream)]
        while events[-1].raw["data"].get("status") != "COMPLETED":
            events.append(next(stream))
    assert raw(events) == shared_deployment.events(instance)[seq:]
    assert {event.task_id for event in events if isinstance(event, Event)} == {task.id}
    with client.watch(instance, since=events[2] if isinstance(events[2], Event) else None) as again:
        assert raw([next(again) for _ in events[3:]]) == raw(events[3:])


def test_a_position_that_the_log_does_not_have_is_a_reset(shared_deployment: Deployment, client: Client) -> None:
    instance = shared_deployment.new_instance()
    task = client.submit("echo", {"message": "hi"}, instance=instance).task
    client.wait(task.id, timeout=60)
    with client.watch(instance, since={"epoch": "another", "seq": 1}) as stream:
        reset = next(stream)
    assert isinstance(reset, Reset)
    assert [one.id for one in reset.tasks] == [task.id]
    (reset,) = client.watch(instance, task=task.id, since=10_000)
    assert isinstance(reset, Reset)
    assert [one.id for one in reset.tasks] == [task.id]


def test_what_does_not_exist_is_an_error_at_once(shared_deployment: Deployment, client: Client) -> None:
    with pytest.raises(NotFound):
        client.watch("nowhere")
    with pytest.raises(NotFound):
        list(client.watch(shared_deployment.new_instance(), task=str(uuid.uuid4())))
    with pytest.raises(NotFound):
        client.wait(str(uuid.uuid4()))


def test_live_updates_have_the_text_of_running_steps(shared_deployment: Deployment, client: Client) -> None:
    instance = shared_deployment.new_instance()
    task = client.submit("probe", {"steps": 1, "seconds": 2, "text_bytes": 2000}, instance=instance).task
    items = list(client.watch(instance, task=task.id, live=True))
    texts = [item for item in items if isinstance(item, LiveUpdate) and item.type == "text"]
    assert texts
    assert raw([item for item in items if isinstance(item, Event)]) == shared_deployment.events(instance)
    end = texts[0].offset
    for text in texts:
        assert (text.offset, text.is_start) == (end, text is texts[0])
        end += len(text.text or "")


def test_waiting_ends_in_time(shared_deployment: Deployment, client: Client) -> None:
    task = client.submit("probe", {"seconds": 600}, instance=shared_deployment.new_instance()).task
    with pytest.raises(TimeoutError, match=task.id):
        client.wait(task.id, timeout=0.2)
    client.cancel(task.id)
    assert client.wait(task.id, timeout=60).status == "CANCELLED"


@pytest.mark.long
def test_streams_and_waits_outlive_the_server_and_redis(new_deployment: Callable[..., Deployment]) -> None:
    deployment = new_deployment()
    web, instance = deployment.start_web(), deployment.new_instance()
    events = list[Any]()
    with Client(web.url) as client, client.watch(instance, since=0) as stream:
        first = client.submit("echo", {"message": "before"}, instance=instance).task
        events.append(next(stream))
        web.kill()
        finals = [deployment.submit(instance, "echo", {"message": "away"})]
        waiter = threading.Thread(target=lambda: finals.append(client.wait(first.id).status), daemon=True)
        web.start()
        waiter.start()
        deployment.redis.kill()
        finals.append(client.submit("echo", {"message": "no Redis"}, instance=instance).task.id)
        deployment.redis.start()
        deployment.start_worker()
        while sum(event.ends_task for event in events) < 3:
            events.append(next(stream))
        waiter.join(60)
    assert finals[-1] == "COMPLETED"
    assert raw(events) == deployment.events(instance)


def test_streams_need_no_library_for_long_polling(shared_deployment: Deployment, tmp_path: Path) -> None:
    instance = shared_deployment.new_instance()
    code = f"""
import sys
sys.modules["requests"] = sys.modules["aiohttp"] = None
from swallowtail.client import Client
from swallowtail.client.stream import log_stream
log_stream.FALLBACK_AFTER = 1e9
with Client({shared_deployment.webs[0].url!r}) as client, client.watch({instance!r}) as stream:
    client.submit("echo", {{"message": "hi"}}, instance={instance!r})
    print(next(stream).status)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "SUBMITTED\n", done.stderr


def test_the_asyncio_client(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()

    async def follow() -> list[Event | Reset]:
        async with AsyncClient(shared_deployment.webs[1].url) as client:
            task = (await client.submit("echo", {"message": "hi"}, instance=instance)).task
            async with client.watch(instance, since=0) as stream, asyncio.timeout(60):
                waiting = asyncio.create_task(client.wait(task.id, timeout=60))
                events = [event async for event in client.watch(instance, task=task.id)]
                assert [await anext(stream) for _ in events] == events
            assert (await waiting).status == (await client.get(task.id)).status == "COMPLETED"
            assert [one.id async for one in client.tasks(instance)] == [task.id]
            assert [event async for event in client.events(instance)] == events
            with pytest.raises(TimeoutError):
                await client.wait((await client.submit("probe", {"seconds": 60}, instance=instance)).task.id, timeout=0)
            return events

    events = raw(asyncio.run(follow()))
    assert events == shared_deployment.events(instance)[: len(events)]
