"""The relay: every outbox entry becomes a message, despite faults of the broker, the relay or the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from kombu import Connection, Queue

from swallowtail.app.core.errors import Unavailable
from tests.core.domain import ERROR, Domain
from tests.harness.servers import RedisServer
from tests.harness.waiting import wait_until
from tests.service.broker_queue import Wakeup, ids, take_all

pytestmark = pytest.mark.service

NewDomain = Callable[..., Domain]


def test_a_due_outbox_entry_becomes_one_message_with_ids_and_limits(new_domain: NewDomain, broker_url: str) -> None:
    domain = new_domain(broker_url=broker_url)
    plain, limited = domain.submit(), domain.submit(soft_time_limit=1.2, hard_time_limit=9.0)
    assert domain.rt.relay.run_due() == 2
    assert domain.rt.relay.run_due() == 0
    by_task = {wakeup.args[0]: wakeup for wakeup in take_all(domain.settings)}
    assert by_task == {
        plain: Wakeup("swallowtail.run", [plain, 1], [660, 600], None),
        limited: Wakeup("swallowtail.run", [limited, 1], [9, 2], None),
    }
    assert domain.story() == ["SUBMITTED", "SUBMITTED", "QUEUED", "QUEUED"]
    assert domain.outbox() == {plain: (1, 1), limited: (1, 1)}
    assert 0 < domain.due_in(plain) <= domain.settings.resend_after


def test_an_outbox_entry_is_not_sent_before_its_time(new_domain: NewDomain, broker_url: str) -> None:
    domain = new_domain(broker_url=broker_url)
    claim = domain.running()
    domain.runs.retry_later(claim, ERROR, 600.0)
    assert domain.rt.relay.run_due() == 0
    domain.make_due(claim.task_id)
    assert domain.rt.relay.run_due() == 1
    assert ids(take_all(domain.settings)) == [(claim.task_id, 2)]
    assert domain.story(after=3) == ["RETRYING", "QUEUED"]


def test_the_oldest_outbox_entries_are_sent_first_up_to_the_limit(new_domain: NewDomain, redis_url: str) -> None:
    domain = new_domain(redis_url=redis_url)
    tasks = [domain.submit() for _ in range(5)]
    assert [domain.rt.relay.run_due(limit=2) for _ in range(4)] == [2, 2, 1, 0]
    assert [wakeup.args[0] for wakeup in take_all(domain.settings)] == tasks


def test_a_relay_that_dies_between_send_and_mark_sends_again_and_the_claim_ignores_one(
    new_domain: NewDomain, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = new_domain(broker_url=broker_url)
    first, second = domain.submit(), domain.submit()

    def die(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(domain.ledger, "mark_queued", die)
        with pytest.raises(SystemExit):
            domain.rt.relay.run_due()
    assert domain.story() == ["SUBMITTED", "SUBMITTED"]
    assert domain.rt.relay.run_due() == 0, "both are reserved"
    domain.make_due(first)
    domain.make_due(second)
    assert domain.rt.relay.run_due() == 2
    messages = ids(take_all(domain.settings))
    assert messages == sorted([(first, 1), (first, 1), (second, 1)])
    claims = [domain.runs.claim(task_id, attempt, "worker") for task_id, attempt in messages]
    assert sum(claim is not None for claim in claims) == 2
    assert domain.story(first) == domain.story(second) == ["SUBMITTED", "QUEUED", "IN_PROGRESS 0"]


def _gone(server: RedisServer) -> None:
    server.kill()


def _full(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", "1")


def _silent(server: RedisServer) -> None:
    server.pause()


def _back(server: RedisServer) -> None:
    if not server.is_running:
        server.start()
    server.resume()
    with server.client() as client:
        client.config_set("maxmemory", "0")


@pytest.mark.parametrize("address", ["socket", "port"])
@pytest.mark.parametrize("trouble", [_gone, _full, _silent])
def test_an_unavailable_broker_only_delays_messages(
    new_domain: NewDomain,
    redis_server: RedisServer,
    tcp_redis: RedisServer,
    trouble: Callable[[RedisServer], None],
    address: str,
) -> None:
    server = redis_server if address == "socket" else tcp_redis
    domain = new_domain(redis_url=server.url, send_timeout=0.5)
    warm = domain.submit()
    assert domain.rt.relay.run_due() == 1
    tasks = [domain.submit() for _ in range(3)]
    trouble(server)
    assert domain.rt.relay.run_due() == 0
    assert domain.rt.is_broker_away()
    assert domain.story() == ["SUBMITTED", "QUEUED", "SUBMITTED", "SUBMITTED", "SUBMITTED"]
    assert {task: domain.outbox()[task] for task in tasks} == dict.fromkeys(tasks, (1, 0))
    assert all(domain.due_in(task) <= 1.0 for task in tasks), "all of them are due again"
    _back(server)
    for task in tasks:
        domain.make_due(task)
    assert domain.rt.relay.run_due() == 3
    assert not domain.rt.is_broker_away()
    messages = ids(take_all(domain.settings))
    # Messages that a hanging broker accepted before the relay gave up may be there too; a claim ignores them.
    assert set(messages) - {(warm, 1)} == {(task, 1) for task in tasks}


def test_a_claimed_outbox_entry_is_not_due_again_early(
    new_domain: NewDomain, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = new_domain(redis_url=redis_url)
    task_id = domain.submit()

    def arrive_and_seem_lost(entry: Any) -> bool:
        claim = domain.claim(entry.task_id, entry.attempt)
        domain.runs.retry_later(claim, ERROR, 600.0)
        return False

    monkeypatch.setattr(domain.rt.relay, "_send", arrive_and_seem_lost)
    assert domain.rt.relay.run_due() == 0
    assert domain.due_in(task_id) > 300.0


def test_an_unavailable_rabbitmq_costs_nothing(new_domain: NewDomain) -> None:
    domain = new_domain(broker_url="amqp://guest:guest@127.0.0.1:1//", send_timeout=0.5)
    task_id = domain.submit()
    assert domain.rt.relay.run_due() == 0
    assert domain.outbox() == {task_id: (1, 0)}
    assert domain.due_in(task_id) <= 1.0
    assert domain.story() == ["SUBMITTED"]


@pytest.mark.parametrize("wrong", ["password", "vhost", "queue"])
def test_a_refusing_rabbitmq_costs_nothing(new_domain: NewDomain, rabbit_url: str, wrong: str) -> None:
    password, vhost = rabbit_url.replace(":guest@", ":wrong@"), f"{rabbit_url.rstrip('/')}/nowhere"
    domain = new_domain(broker_url={"password": password, "vhost": vhost}.get(wrong, rabbit_url))
    if wrong == "queue":
        with Connection(rabbit_url) as connection, connection.channel() as channel:
            Queue(domain.settings.queue, durable=False, channel=channel).queue_declare()
    tasks = [domain.submit() for _ in range(2)]
    assert domain.rt.relay.run_due() == 0
    assert domain.outbox() == dict.fromkeys(tasks, (1, 0))
    assert all(domain.due_in(task) <= 1.0 for task in tasks)
    assert domain.story() == ["SUBMITTED", "SUBMITTED"]


def test_an_unclaimed_message_is_sent_again_only_when_the_queue_is_shorter_than_the_waiting_tasks(
    new_domain: NewDomain, broker_url: str
) -> None:
    domain = new_domain(broker_url=broker_url, resend_after=20.0)
    first, second = domain.submit(), domain.submit()
    assert domain.rt.relay.run_due() == 2
    domain.make_due(first)
    assert domain.rt.relay.run_due() == 0, "both messages are in the queue"
    assert 20.0 < domain.due_in(first) <= 40.0, "checked again, but later"
    assert ids(take_all(domain.settings)) == sorted([(first, 1), (second, 1)])
    domain.make_due(first)
    assert domain.rt.relay.run_due() == 1
    assert ids(take_all(domain.settings)) == [(first, 1)]
    assert domain.outbox()[first] == (1, 2)
    assert domain.story() == ["SUBMITTED", "SUBMITTED", "QUEUED", "QUEUED"]


def test_pauses_between_repeated_messages_grow_to_the_maximum(new_domain: NewDomain, redis_url: str) -> None:
    domain = new_domain(redis_url=redis_url, resend_after=100.0, resend_max=300.0)
    task_id = domain.submit()
    pauses = []
    for _ in range(4):
        domain.make_due(task_id)
        assert domain.rt.relay.run_due() == 1
        take_all(domain.settings)
        pauses.append(domain.due_in(task_id))
    assert [round(pause, -2) for pause in pauses] == [100.0, 200.0, 300.0, 300.0]


def test_a_queue_that_redis_lost_in_a_restart_is_filled_again(new_domain: NewDomain, redis_server: RedisServer) -> None:
    domain = new_domain(redis_url=redis_server.url)
    tasks = [domain.submit() for _ in range(3)]
    assert domain.rt.relay.run_due() == 3
    redis_server.restart()
    assert take_all(domain.settings) == []
    for task in tasks:
        domain.make_due(task)

    sent: list[int] = []

    def send() -> bool:
        # The relay's own connection broke; it may notice that with its next message.
        for task in tasks:
            if domain.outbox()[task][1] == 1:
                domain.make_due(task)
        sent.append(domain.rt.relay.run_due())
        return sum(sent) >= 3

    wait_until(send, "the messages are sent again")
    assert set(ids(take_all(domain.settings))) == {(task, 1) for task in tasks}
    assert domain.story()[3:] == ["QUEUED"] * 3


def test_a_message_that_a_worker_dropped_is_sent_again(new_domain: NewDomain, broker_url: str) -> None:
    domain = new_domain(broker_url=broker_url, resend_after=300.0, backoff_base=0.0)
    task_id = domain.submit()
    assert domain.rt.relay.run_due() == 1
    assert len(take_all(domain.settings)) == 1
    domain.proposals.discarded(task_id, 1)
    wait_until(lambda: domain.rt.relay.run_due() == 1, "it is sent again")
    assert ids(take_all(domain.settings)) == [(task_id, 1)]


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_several_relays_at_once_send_each_outbox_entry_once(
    new_domain: NewDomain, redis_url: str, database: str, request: pytest.FixtureRequest
) -> None:
    place = {} if database == "sqlite" else {"database_url": request.getfixturevalue("postgres")}
    domains = [new_domain(redis_url=redis_url, **place) for _ in range(4)]
    tasks = [domains[0].submit() for _ in range(24)]
    barrier = threading.Barrier(len(domains))
    sent: list[int] = []

    def relay(domain: Domain) -> None:
        barrier.wait()
        while count := domain.rt.relay.run_due(limit=5):
            sent.append(count)

    threads = [threading.Thread(target=relay, args=(domain,)) for domain in domains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while count := domains[0].rt.relay.run_due():
        sent.append(count)
    assert sum(sent) == 24
    assert ids(take_all(domains[0].settings)) == sorted((task, 1) for task in tasks)
    assert sorted(domains[0].story()) == ["QUEUED"] * 24 + ["SUBMITTED"] * 24


def test_a_woken_sweeper_sends_at_once_and_a_sweep_finds_what_is_overdue(new_domain: NewDomain, redis_url: str) -> None:
    domain = new_domain(redis_url=redis_url, sweep_interval=0.05, lease_seconds=0.3, heartbeat_seconds=0.1)
    sweeper = domain.rt.make_sweeper()
    sweeper.start()
    try:
        task_id = domain.submit()
        domain.rt.wake_relay()
        wait_until(lambda: domain.task(task_id).status == "QUEUED", "the sweeper has sent it")
        domain.claim(task_id)
        late = domain.submit()
        domain.overdue(late)
        wait_until(lambda: domain.outbox().get(task_id) == (2, 1), "the lapsed run is sent again")
        wait_until(lambda: domain.task(late).status == "EXPIRED", "the overdue task has expired")
    finally:
        sweeper.stop()
    domain.events()


def test_a_sweeper_continues_after_any_error(
    new_domain: NewDomain, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = new_domain(redis_url=redis_url, sweep_interval=0.01)
    faults: list[Exception] = [Unavailable(), ValueError("a surprise")]
    real = domain.rt.lease_expiry.run

    def expire_leases() -> int:
        if faults:
            raise faults.pop()
        return real()

    monkeypatch.setattr(domain.rt.lease_expiry, "run", expire_leases)
    sweeper = domain.rt.make_sweeper()
    sweeper.start()
    try:
        wait_until(lambda: not faults, "both faults were raised")
        task_id = domain.submit()
        wait_until(lambda: domain.task(task_id).status == "QUEUED", "it continues")
    finally:
        sweeper.stop()
