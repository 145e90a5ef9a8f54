"""Permission changes take effect through Redis at once, and through the database when Redis is away.

Two processes' hubs and monitors on one database and one Redis. The tests move the clock of the periodic reviews.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from pydantic import ValidationError

from tests.delivery.access.monitored_hub import Process
from tests.harness.deployment import Deployment
from tests.harness.settings import make_settings
from tests.harness.waiting import wait_until
from tests.journey.authenticated_deployment import GUARDED, Tenants
from tests.journey.event_writer import Author

pytestmark = pytest.mark.service


class HeldClock(threading.Event):
    """An event whose waits end when it is set, or when the test ends them; `waits` are their timeouts."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []
        self._over = 0
        self._changed = threading.Condition()

    def set(self) -> None:
        with self._changed:
            super().set()
            self._changed.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        with self._changed:
            self.waits.append(timeout)
            number = len(self.waits)
            self._changed.wait_for(lambda: self.is_set() or self._over >= number)
            return self.is_set()

    def let_pass(self) -> None:
        """End the present wait as if its time were over."""
        with self._changed:
            self._over = len(self.waits)
            self._changed.notify_all()


class Pair:
    """Two processes, and an instance with a member and a page, each of which has a client at both processes."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.author = Author(deployment)
        self.tenants = Tenants(deployment)
        self.instance_id = self.author.instance_id
        self.vera = self.tenants.add("vera", "viewer", self.instance_id)
        self.page = self.tenants.page(self.instance_id)
        self.clocks = [HeldClock(), HeldClock()]
        self.processes = [Process(deployment.runtime(), self.tenants.tokens, clock) for clock in self.clocks]
        for process in self.processes:
            process.hub.start()
            wait_until(lambda process=process: process.hub.subscriber.is_connected, "Redis is connected")  # type: ignore[misc]
            process.monitor.start()
            for name, token in (("vera", self.vera), ("page", self.page)):
                process.connect(name, token)
                process.hub.subscriptions.subscribe(name, self.instance_id, None, lambda _: None)

    def await_rest(self) -> None:
        """Wait until no review runs or is due."""
        for process, clock in zip(self.processes, self.clocks, strict=True):

            def rests(process: Process = process, clock: HeldClock = clock) -> bool:
                return (
                    process.hub.permissions.version == process.reader.read_permission_version() and not clock.is_set()
                )

            wait_until(rests, "the monitor is up to date")

    def await_end(self, client: str, last: str) -> None:
        for process in self.processes:
            wait_until(lambda process=process: process.transport.story(client)[-1:] == [last], f"{client} is cut off")  # type: ignore[misc]

    def close(self) -> None:
        for process in self.processes:
            process.close()


@pytest.fixture
def pair(new_deployment: Callable[..., Deployment]) -> Iterator[Pair]:
    pair = Pair(new_deployment(env={**GUARDED, "access_check": 2, "head_check": 0.2, "head_interval": 600}))
    yield pair
    pair.close()


def test_access_messages_cut_off_clients_in_every_process_before_the_next_check(pair: Pair) -> None:
    pair.tenants.remove(pair.instance_id, "vera")
    pair.await_end("vera", "reset revoked")
    pair.tenants.revoke(pair.page)
    pair.await_end("page", "expelled: revoked")
    pair.author.play()
    for process in pair.processes:
        witness = process.connect("witness", pair.tenants.page(pair.instance_id))
        assert witness.kind == "front_end"
        process.hub.subscriptions.subscribe("witness", pair.instance_id, None, lambda _: None)
    pair.author.play()
    for process in pair.processes:
        wait_until(
            lambda process=process: process.transport.numbers("witness")[-1:] == [pair.author.head],  # type: ignore[misc]
            "the witness has everything",
        )
        assert process.transport.story("vera") == ["reset revoked"]
        assert process.transport.story("page") == ["reset revoked", "expelled: revoked"]


def test_the_access_check_cannot_be_set_slower_than_promised() -> None:
    with pytest.raises(ValidationError, match="access_check"):
        make_settings(access_check=2.1)


def test_without_redis_the_access_check_alone_cuts_off_within_its_interval(pair: Pair) -> None:
    pair.deployment.redis.kill()
    for process in pair.processes:
        wait_until(lambda process=process: not process.hub.subscriber.is_connected, "Redis is missed")  # type: ignore[misc]
    pair.await_rest()
    pair.tenants.revoke(pair.page)
    for process in pair.processes:
        assert process.transport.story("page") == []
    for clock in pair.clocks:
        clock.let_pass()
    pair.await_end("page", "expelled: revoked")
    assert all(length is not None and length <= 2.0 for clock in pair.clocks for length in clock.waits)
    pair.author.play()
    for process in pair.processes:
        wait_until(
            lambda process=process: process.transport.numbers("vera")[-1:] == [pair.author.head],  # type: ignore[misc]
            "the others have everything",
        )
        assert process.transport.numbers("page") == []
