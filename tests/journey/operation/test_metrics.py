"""The metrics that a real web process measures of real clients."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
import pytest
import socketio

from tests.harness.deployment import Deployment
from tests.harness.recorder import Recorder
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author


def measures(url: str) -> dict[str, float]:
    """Every sample of a web process, by its name and labels."""
    lines = httpx2.get(f"{url}/metrics", timeout=30).text.splitlines()
    parts = [line.rpartition(" ") for line in lines if line.startswith("swallowtail_")]
    return {name: float(value) for name, _, value in parts}


@pytest.mark.parametrize("engine", ["fast", "stock"])
def test_a_delivered_event_and_its_connections_are_measured(
    new_deployment: Callable[..., Deployment], engine: str
) -> None:
    deployment = new_deployment(env={"engine": engine, "probe_interval": 0.1})
    web = deployment.start_web()
    author = Author(deployment)
    author.play()
    polling = socketio.Client(reconnection=False, handle_sigint=False)
    polling.connect(web.url, transports=["polling"], wait_timeout=30)
    try:
        with Recorder(web.url) as one, Recorder(web.url) as two:
            for client in (one, two):
                client.subscribe(author.instance_id)
            author.play()
            one.wait_until(lambda: len(one.events()) == 8, "every event came")
            two.wait_until(lambda: len(two.events()) == 8, "every event came")
            matches = measures(web.url)
            assert matches["swallowtail_commit_to_client_seconds_count"] == 8
            assert 0 < matches["swallowtail_commit_to_client_seconds_sum"] < 8 * 30
            assert matches['swallowtail_delivered_total{kind="durable"}'] == 16
            assert matches["swallowtail_cursors_behind"] == 0
            assert matches["swallowtail_deaf"] == 0
            assert matches["swallowtail_probe_seconds_count"] >= 1
            name = "swallowtail_connections"
            assert matches[f'{name}{{engine="{engine}",transport="websocket"}}'] == 2
            assert matches[f'{name}{{engine="stock",transport="polling"}}'] == 1
    finally:
        polling.disconnect()
    wait_until(lambda: measures(web.url)["swallowtail_clients"] == 0, "no client is left")
