"""A web process whose Redis subscription became silent reports it, recovers, and loses no event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from tests.harness.deployment import Deployment
from tests.harness.proxies.silent_proxy import SilentWire, What
from tests.harness.received_events import assert_contiguous
from tests.harness.recorder import Recorder
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author

#: The head check would bring everything; here it is so rare that only hearing does.
RARE = {"head_check": 600, "head_interval": 600, "probe_interval": 0.2, "deaf_after": 1}


def measured(url: str, name: str) -> float:
    for line in httpx2.get(f"{url}/metrics", timeout=30).text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[-1])
    return 0.0


@pytest.mark.long
@pytest.mark.parametrize("mode", ["eventlet", "threading"])
@pytest.mark.parametrize("what", ["all", "messages"])
def test_a_process_with_a_silent_subscription_recovers_and_catches_up(
    new_deployment: Callable[..., Deployment], mode: str, what: What
) -> None:
    deployment = new_deployment(tcp=True)
    with SilentWire(deployment.redis.url) as wire:
        web = deployment.start_web(env={**RARE, "redis_url": wire.url, "async_mode": mode})
        author = Author(deployment)

        def redis() -> dict[str, Any]:
            received: dict[str, Any] = httpx2.get(f"{web.url}/readyz", timeout=30).json()["components"]["redis"]
            return received

        wait_until(lambda: redis()["status"] == "ok", "the process receives its own probe", seen=redis)
        with Recorder(web.url) as client:
            client.subscribe(author.instance_id)
            author.play()
            client.wait_until(lambda: len(client.events()) == 8, "events are received")
            wire.silence(what, lasting=True)
            author.play()
            wait_until(lambda: "none comes back" in redis()["detail"], "it reports the silence", seen=redis)
            if what == "messages":
                # Where nothing comes back at all, the next probe is refused, and Redis is away then.
                assert measured(web.url, "swallowtail_deaf") == 1
            wire.heal()
            wait_until(lambda: redis()["status"] == "ok", "it receives its own probe again", seen=redis)
            author.play()
            client.wait_until(lambda: len(client.events()) == 24, "what was missed has come")
            assert_contiguous(client.events())
            assert client.count("reset") == 0
        assert measured(web.url, "swallowtail_deaf") == 0
        assert measured(web.url, 'swallowtail_probes_total{outcome="lost"}') >= 1
