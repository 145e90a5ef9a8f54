"""The follower yields every event once and in order, with and without Redis; live progress only while it is current."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import update

from swallowtail.app.core.errors import NotFound
from swallowtail.app.core.events import EventRecord, LiveState
from swallowtail.app.core.ledger.publish_queue import PublishQueue
from swallowtail.app.core.ledger.publisher import instance_channel
from swallowtail.app.core.queries.authorized import AuthorizedReads
from swallowtail.app.core.redis.connection import connect
from swallowtail.app.core.schemas.tasks import NewTask
from swallowtail.app.core.services import tasks as task_service
from swallowtail.app.core.services.follower import Follower, Item, LiveUpdate, Reset
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.instances import Instance
from tests.core.schedule_domain import Bench, open_bench
from tests.harness.servers import RedisServer
from tests.harness.waiting import PATIENCE, wait_until


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Without Redis; the log is read every 0.05 s."""
    with open_bench(tmp_path, head_check=0.05, publish_timeout=0.1) as bench:
        yield bench


def submit(bench: Bench, instance_id: str = "demo") -> str:
    return task_service.submit(bench.runtime, instance_id, NewTask(kind="echo", input={"message": "hello"})).task["id"]


def take(follower: Follower, count: int) -> list[Item]:
    return list(islice(follower.items(), count))


def seqs(items: list[Item]) -> list[int]:
    return [item.seq for item in items if isinstance(item, EventRecord)]


def test_it_begins_after_the_cursor_and_continues_without_redis(bench: Bench) -> None:
    for _ in range(3):
        submit(bench)
    later = threading.Timer(0.2, lambda: [submit(bench), submit(bench)])
    later.start()

    items = take(Follower(bench.runtime, "demo", after=1), 4)

    later.join(PATIENCE)
    assert seqs(items) == [2, 3, 4, 5]


def test_a_long_gap_is_read_page_by_page(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swallowtail.app.core.services.follower.PAGE", 2)
    for _ in range(7):
        submit(bench)

    assert seqs(take(Follower(bench.runtime, "demo", after=0), 7)) == [1, 2, 3, 4, 5, 6, 7]


def test_one_task_is_followed_to_its_end_past_the_events_of_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swallowtail.app.core.services.follower.PAGE", 1)
    first, second = submit(bench), submit(bench)
    task_service.cancel(bench.runtime, first)
    task_service.cancel(bench.runtime, second)
    follower = Follower(bench.runtime, "demo", task_id=first)

    assert seqs(list(follower.items())) == [1, 3]
    assert follower.task is not None
    assert follower.task["status"] == "CANCELLED"


def test_another_epoch_or_a_future_number_resets_to_the_stored_events(bench: Bench) -> None:
    submit(bench)
    assert take(Follower(bench.runtime, "demo", after=9), 2)[0] == Reset("demo", "epoch")

    following = Follower(bench.runtime, "demo", after=0).items()
    assert isinstance(next(following), EventRecord)
    with bench.runtime.db.write() as session:
        session.execute(update(Instance).values(epoch="another"))
    assert next(following) == Reset("demo", "epoch")
    again = next(following)
    assert isinstance(again, EventRecord)
    assert again.seq == 1


def test_a_cursor_older_than_the_log_is_reset_unless_all_was_requested(bench: Bench) -> None:
    for _ in range(3):
        submit(bench)
    with bench.runtime.db.write() as session:
        session.execute(update(Instance).values(min_seq=1))

    assert take(Follower(bench.runtime, "demo", after=0), 1) == [Reset("demo", "too_old")]
    assert seqs(take(Follower(bench.runtime, "demo"), 2)) == [2, 3]


def test_a_task_of_another_instance_is_not_found(bench: Bench) -> None:
    create_instance(bench.runtime, "Other", "other")
    elsewhere = submit(bench, "other")

    for follower in (Follower(bench.runtime, "nobody"), Follower(bench.runtime, "demo", task_id=elsewhere)):
        with pytest.raises(NotFound):
            next(follower.items())


@pytest.mark.service
def test_redis_announces_events_and_carries_live_progress_that_is_still_current(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with open_bench(tmp_path, redis_url=redis_server.url, head_check=1.0) as bench:
        first, second = submit(bench), submit(bench)
        items: list[Item] = []
        following = threading.Thread(target=lambda: items.extend(take(Follower(bench.runtime, "demo", after=0), 5)))
        following.start()
        wait_until(lambda: _listeners(bench) == 1, "the follower listens")

        def live(task_id: str, base_seq: int) -> None:
            state = LiveState("demo", task_id, 1, 1, base_seq, {"progress": 5.0}, epoch)
            bench.runtime.broadcast.publish_live(state)

        with bench.runtime.db.read() as session:
            epoch = AuthorizedReads(session, bench.runtime.caller.actor).head("demo").epoch
        other = LiveState("demo", first, 1, 1, 1, {"progress": 5.0}, "another log of this name")
        bench.runtime.broadcast.publish_live(other)
        live(first, 0)  # measured before the task's last event: outdated
        live(first, 99)  # measured after an event that has not been shown yet
        live(first, 1)
        live(second, 2)
        queue = PublishQueue(bench.runtime.broadcast, bench.runtime.db)
        third = submit(bench)
        following.join(PATIENCE)
        queue.close()

    shown = [
        item.payload["task_id"] if isinstance(item, LiveUpdate) else item.seq
        for item in items
        if not isinstance(item, Reset)
    ]
    assert shown == [1, 2, first, second, 3]
    assert isinstance(items[-1], EventRecord)
    assert items[-1].task_id == third


@pytest.mark.service
def test_nothing_is_missed_while_redis_is_killed_and_comes_back(tmp_path: Path, redis_server: RedisServer) -> None:
    with open_bench(tmp_path, redis_url=redis_server.url, head_check=0.1, publish_timeout=0.2) as bench:
        queue = PublishQueue(bench.runtime.broadcast, bench.runtime.db)
        items: list[Item] = []
        following = threading.Thread(target=lambda: items.extend(take(Follower(bench.runtime, "demo", after=0), 3)))
        following.start()
        wait_until(lambda: _listeners(bench) == 1, "the follower listens")
        submit(bench)
        redis_server.kill()
        submit(bench)
        redis_server.start()
        wait_until(lambda: _listeners(bench) == 1, "the follower listens again")
        submit(bench)
        following.join(PATIENCE)
        queue.close()

    assert seqs(items) == [1, 2, 3]


def _listeners(bench: Bench) -> int:
    with connect(bench.runtime.settings) as client:
        ((_, count),) = client.pubsub_numsub(instance_channel(bench.runtime.settings, "demo"))
    return int(count)
