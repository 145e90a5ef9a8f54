"""The self-check finds a dead subscription, reports it, and has it replaced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import REGISTRY

from swallowtail.app.delivery.hub import Hub
from swallowtail.app.delivery.redis import self_check
from swallowtail.app.delivery.redis.self_check import State
from swallowtail.app.delivery.redis.subscriber import Subscriber
from tests.delivery.fakes import FakeReader, FakeTransport
from tests.harness.program import make_directory
from tests.harness.proxies.silent_proxy import SilentWire, What
from tests.harness.servers import RedisBinary, RedisServer
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.service


@pytest.fixture
def tcp_redis(redis_binary: RedisBinary) -> Iterator[RedisServer]:
    server = RedisServer(make_directory(), binary=redis_binary, tcp=True)
    with server.start():
        yield server


@pytest.fixture
def wire(tcp_redis: RedisServer) -> Iterator[SilentWire]:
    with SilentWire(tcp_redis.url) as wire:
        yield wire


@pytest.fixture
def new_hub() -> Iterator[Callable[..., Hub]]:
    hubs: list[Hub] = []

    def make(url: str, **fields: object) -> Hub:
        settings = make_settings(**{"redis_url": url, "probe_interval": 0.05, "deaf_after": 0.5, **fields})
        hubs.append(Hub(settings, FakeReader(settings), FakeTransport()))
        hubs[-1].start()
        return hubs[-1]

    yield make
    for hub in hubs:
        hub.stop()


def count(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def await_state(hub: Hub, state: State) -> None:
    wait_until(lambda: hub.self_check.state.state == state, f"the hub is {state}", seen=lambda: hub.self_check.state)


def test_its_connection_closes_after_its_last_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kind of fault: a connection that one thread closes while another uses it."""
    began, story = threading.Event(), list[str]()

    class Client:
        def publish(self, *_: object) -> None:
            began.set()
            time.sleep(0.2)
            story.append("published")

        def close(self) -> None:
            story.append("closed")

    monkeypatch.setattr(self_check, "connect", lambda settings: Client())
    settings = make_settings()
    check = self_check.SelfCheck(settings, Subscriber(settings))
    check.start()
    assert began.wait(60)
    check.stop()
    assert story == ["published", "closed"]


def test_a_probe_comes_back_and_its_round_trip_is_measured(
    new_hub: Callable[..., Hub], redis_server: RedisServer
) -> None:
    returned, timed = count("swallowtail_probes_total", outcome="heard"), count("swallowtail_probe_seconds_count")
    hub = new_hub(redis_server.url)
    await_state(hub, "receives")
    wait_until(lambda: count("swallowtail_probes_total", outcome="heard") >= returned + 3, "probes go on")
    assert count("swallowtail_probe_seconds_count") >= timed + 3
    assert count("swallowtail_deaf") == 0


@pytest.mark.parametrize("what", ["all", "messages"])
def test_a_dead_subscription_of_a_living_redis_is_detected_and_replaced(
    new_hub: Callable[..., Hub], wire: SilentWire, what: What
) -> None:
    hub = new_hub(wire.url)
    await_state(hub, "receives")
    lost, subscribers = count("swallowtail_probes_total", outcome="lost"), wire.subscribers
    wire.silence(what, lasting=True)
    await_state(hub, "not_receiving")
    assert count("swallowtail_deaf") == 1
    assert count("swallowtail_probes_total", outcome="lost") > lost
    wait_until(lambda: wire.subscribers >= subscribers + 2, "it goes on trying")
    # A new connection counts as good until its first message is missing.
    await_state(hub, "not_receiving")
    wire.heal()
    await_state(hub, "receives")
    assert count("swallowtail_deaf") == 0


def test_one_silent_connection_is_replaced_by_one_that_receives(new_hub: Callable[..., Hub], wire: SilentWire) -> None:
    hub = new_hub(wire.url, deaf_after=0.2)
    await_state(hub, "receives")
    subscribers, lost = wire.subscribers, count("swallowtail_probes_total", outcome="lost")
    wire.silence("messages")
    wait_until(lambda: count("swallowtail_probes_total", outcome="lost") > lost, "it notices")
    await_state(hub, "receives")
    assert wire.subscribers > subscribers


def test_a_suspended_redis_is_reported_and_messages_arrive_after_it_resumes(
    new_hub: Callable[..., Hub], redis_server: RedisServer
) -> None:
    hub = new_hub(redis_server.url, publish_timeout=0.3)
    await_state(hub, "receives")
    redis_server.pause()
    try:
        await_state(hub, "away")
    finally:
        redis_server.resume()
    await_state(hub, "receives")


def test_a_redis_that_pauses_its_clients_is_reported_and_messages_arrive_after_it_resumes(
    new_hub: Callable[..., Hub], redis_server: RedisServer
) -> None:
    hub = new_hub(redis_server.url, publish_timeout=0.3)
    await_state(hub, "receives")
    with redis_server.client() as client:
        # The pause has to end by itself: a paused server accepts no command.
        client.client_pause(3_000)
    await_state(hub, "away")
    await_state(hub, "receives")


def test_killed_connections_are_replaced_at_once(new_hub: Callable[..., Hub], redis_server: RedisServer) -> None:
    hub = new_hub(redis_server.url)
    await_state(hub, "receives")
    reconnects = count("swallowtail_redis_reconnects_total")
    lost = count("swallowtail_probes_total", outcome="lost")
    with redis_server.client() as client:
        client.client_kill_filter(_type="pubsub")
    wait_until(lambda: count("swallowtail_redis_reconnects_total") > reconnects, "the listener connects again")
    returned = count("swallowtail_probes_total", outcome="heard")
    wait_until(lambda: count("swallowtail_probes_total", outcome="heard") > returned, "probes come back again")
    assert hub.self_check.state.state == "receives"
    assert count("swallowtail_probes_total", outcome="lost") == lost


def test_a_stopped_redis_is_reported_and_messages_arrive_after_its_restart(
    new_hub: Callable[..., Hub], redis_server: RedisServer
) -> None:
    hub = new_hub(redis_server.url)
    await_state(hub, "receives")
    redis_server.kill()
    await_state(hub, "away")
    assert not hub.subscriber.is_connected
    redis_server.start()
    await_state(hub, "receives")


def test_foreign_messages_on_the_self_check_channel_do_not_count(
    new_hub: Callable[..., Hub], wire: SilentWire, tcp_redis: RedisServer
) -> None:
    hub = new_hub(wire.url)
    await_state(hub, "receives")
    channel = hub.subscriber.own
    wire.silence("all", lasting=True)
    await_state(hub, "not_receiving")
    for message in (b"", b"x", b"0", b"999999", b"\xff"):
        hub.router.receive(channel, message)
    assert hub.self_check.state.state == "not_receiving"
    with tcp_redis.client() as client:
        assert client.publish(channel, b"1") >= 1
    assert hub.self_check.state.state == "not_receiving"
