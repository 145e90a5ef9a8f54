"""After faults between log and client, the client has every event once and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.harness.deployment import Deployment
from tests.harness.received_events import assert_contiguous
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.server_modes import WAYS
from tests.harness.servers import RedisBinary
from tests.journey.event_writer import Author, BusyAuthor

NewDeployment = Callable[..., Deployment]


every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture(scope="module", params=WAYS)
def pair(request: pytest.FixtureRequest, redis_binary: RedisBinary) -> Iterator[Deployment]:
    """Two web processes of each way, for tests that break only connections."""
    with Deployment(redis_binary=redis_binary, env=WAYS[request.param]) as opened:
        first, second = opened.start_web(wait=False), opened.start_web(wait=False)
        first.wait_ready()
        second.wait_ready()
        yield opened


@pytest.fixture
def author(pair: Deployment) -> Author:
    return Author(pair)


def assert_complete(client: ResumingRecorder, author: Author, *, after: int = 0) -> None:
    """The client has everything after a number, once, in order, without ever starting again."""
    received = author.events
    assert client.wait_for_log(author.instance_id, len(received)) == received[after:]
    assert_contiguous(client.log(author.instance_id), after=after)
    position = client.positions[author.instance_id]
    assert (position.snapshots, position.repeats, client.count("reset"), client.errors) == ([], 0, 0, [])


@pytest.mark.long
def test_clients_that_come_while_events_are_written_miss_and_repeat_nothing(author: Author, pair: Deployment) -> None:
    author.play()
    clients = [ResumingRecorder(pair.webs[number % 2].url).connect() for number in range(8)]
    starts: list[int] = []
    with BusyAuthor(author):
        for number, client in enumerate(clients):
            if number % 2:
                answer = client.follow(author.instance_id, epoch=author.epoch, seq=number)
                assert answer["mode"] == "replay"
                starts.append(number)
            else:
                answer = client.follow(author.instance_id)
                assert answer["mode"] == "live"
                starts.append(answer["head"])
            client.wait_for_log(author.instance_id, author.head + 5)
    for client, start in zip(clients, starts, strict=True):
        assert_complete(client, author, after=start)
        client.disconnect()


def test_a_client_that_drops_four_times_continues_at_the_other_process_without_a_gap(
    author: Author, pair: Deployment
) -> None:
    first, second = (web.url for web in pair.webs)
    author.play()
    with ResumingRecorder(first) as client, BusyAuthor(author):
        client.follow(author.instance_id, epoch=author.epoch, seq=0)
        for url in (second, first, first, second):
            client.wait_for_log(author.instance_id, author.head + 3)
            client.drop()
            author.play()
            client.resume(url)
    with ResumingRecorder(first) as late:
        late.follow(author.instance_id, epoch=author.epoch, seq=0)
        assert_complete(late, author)
    assert client.log(author.instance_id) == author.events[: len(client.log(author.instance_id))]
    position = client.positions[author.instance_id]
    assert [answer["mode"] for answer in position.answers] == ["replay"] * 5
    assert (position.snapshots, position.repeats, client.errors) == ([], 0, [])


def test_both_processes_send_the_same_to_old_and_new_clients(author: Author, pair: Deployment) -> None:
    first, second = (web.url for web in pair.webs)
    with Recorder(first) as old, Recorder(second) as other, ResumingRecorder(second) as new:
        old.subscribe(author.instance_id)
        other.subscribe(author.instance_id)
        new.follow(author.instance_id)
        for _ in range(20):
            author.play()
        for client in (old, other):
            client.wait_for_seq(author.instance_id, author.head)
            assert client.events() == author.events
        assert_complete(new, author)


def test_the_last_of_many_quick_subscriptions_and_unsubscriptions_counts(author: Author, pair: Deployment) -> None:
    instance = {"instance_id": author.instance_id}
    with Recorder(pair.webs[0].url) as client, BusyAuthor(author):
        for _ in range(50):
            client.emit("subscribe_instance", instance)
            client.emit("unsubscribe_instance", instance)
        client.emit("subscribe_instance", instance)
        client.wait_until(lambda: client.count("subscribed") == 51, "the last subscription begins")
        last = max(place for place, (name, _) in enumerate(client.messages) if name == "subscribed")
        client.wait_until(lambda: len(client.messages) > last + 30, "events follow")
        names = [name for name, _ in client.messages if name in ("subscribed", "unsubscribed")]
        assert names == ["subscribed", "unsubscribed"] * 50 + ["subscribed"]
    open_ = False
    last_seq = 0
    for name, payload in client.messages:
        if name in ("subscribed", "unsubscribed"):
            open_, last_seq = name == "subscribed", 0
        elif "seq" in payload and name != "head":
            assert open_
            assert last_seq in (0, payload["seq"] - 1)
            last_seq = payload["seq"]


@pytest.mark.long
@every_way
def test_events_arrive_while_redis_is_away_and_hints_come_back_with_it(new_deployment: NewDeployment, way: str) -> None:
    deployment = new_deployment(env=WAYS[way])
    web = deployment.start_web()
    author = Author(deployment)
    claim = author.claim(author.submit())
    with ResumingRecorder(web.url) as client:
        client.follow(author.instance_id, epoch=author.epoch, seq=0)
        client.call("subscribe_task", {"task_id": claim.task_id})
        await_text(author, client, claim.task_id)
        for _ in range(2):
            with BusyAuthor(author):
                deployment.redis.kill()
                client.wait_for_log(author.instance_id, author.head + 20)
                deployment.redis.start()
                await_text(author, client, claim.task_id)
        assert_complete(client, author)
        assert web.status("/readyz") == 200


@pytest.mark.long
@every_way
def test_events_arrive_while_redis_hangs(new_deployment: NewDeployment, way: str) -> None:
    deployment = new_deployment(env=WAYS[way])
    web = deployment.start_web()
    author = Author(deployment)
    with ResumingRecorder(web.url) as client, Recorder(web.url) as other:
        client.follow(author.instance_id)
        deployment.redis.pause()
        author.play()
        client.wait_for_log(author.instance_id, 8)
        other.subscribe(author.instance_id)
        author.play(0)
        client.wait_for_log(author.instance_id, 12)
        other.wait_for_seq(author.instance_id, 12)
        deployment.redis.resume()
        author.play(0)
        assert_complete(client, author)
        other.wait_for_seq(author.instance_id, author.head)
        assert [event["seq"] for event in other.events()] == list(range(9, author.head + 1))


@pytest.mark.long
@every_way
def test_a_web_process_serves_without_redis_from_its_start_and_connects_when_it_comes(
    new_deployment: NewDeployment, way: str
) -> None:
    deployment = new_deployment(env=WAYS[way])
    deployment.redis.kill()
    web = deployment.start_web()
    author = Author(deployment)
    with ResumingRecorder(web.url) as client:
        client.follow(author.instance_id)
        claim = author.claim(author.submit())
        client.call("subscribe_task", {"task_id": claim.task_id})
        author.play()
        client.wait_for_log(author.instance_id, author.head)
        deployment.redis.start()
        await_text(author, client, claim.task_id)
        author.play()
        assert_complete(client, author)


@pytest.mark.long
@every_way
def test_a_client_continues_after_its_process_was_killed(new_deployment: NewDeployment, way: str) -> None:
    deployment = new_deployment(env=WAYS[way])
    first, second = deployment.start_web(wait=False), deployment.start_web(wait=False)
    first.wait_ready()
    second.wait_ready()
    author = Author(deployment)
    author.play()
    client = ResumingRecorder(first.url).connect()
    client.follow(author.instance_id, epoch=author.epoch, seq=0)
    with BusyAuthor(author):
        for victim, refuge in ((first, second), (second, first)):
            client.wait_for_log(author.instance_id, author.head + 5)
            victim.kill()
            client.drop()
            client.resume(refuge.url)
            victim.start()
    assert_complete(client, author)
    client.disconnect()


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_it_is_the_same_on_postgresql(new_deployment: NewDeployment, postgres_url: str, mode: str) -> None:
    deployment = new_deployment(database_url=postgres_url, env={"async_mode": mode})
    web = deployment.start_web()
    author = Author(deployment)
    author.play()
    with ResumingRecorder(web.url) as client:
        client.follow(author.instance_id, epoch=author.epoch, seq=0)
        with BusyAuthor(author):
            client.wait_for_log(author.instance_id, author.head + 10)
            client.drop_and_resume()
            client.wait_for_log(author.instance_id, author.head + 10)
        assert_complete(client, author)
        answer = client.call(
            "subscribe_instance", {"instance_id": author.instance_id, "since": {"epoch": "", "seq": 0}}
        )
        assert (answer["mode"], answer["head"]) == ("snapshot", author.head)


def await_text(author: Author, client: Recorder, task_id: str) -> None:
    """Write text until some of it arrives, which only Redis can bring."""
    had = client.count("step_output")

    def arrives() -> bool:
        author.publish_text(task_id, "write", "x", offset=0, rev=1)
        return client.count("step_output") > had

    client.wait_until(arrives, "text arrives")
