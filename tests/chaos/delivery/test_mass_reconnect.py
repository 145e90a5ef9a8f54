"""Two thousand clients lose their web process at once and reconnect: each log is read once, no event is missed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.harness.deployment import Deployment
from tests.harness.processes import WebProcess
from tests.harness.program import ROOT, clean_environment
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author

NewDeployment = Callable[..., Deployment]
CLIENTS = 2000
#: Instances, and tasks of 24 events each that are written to every instance while no client is connected.
INSTANCES, MISSED = 4, 6
PATIENCE = 180.0


class ClientsProcess:
    """The process with the clients."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def report(self) -> dict[str, Any]:
        """Return the state of the clients."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def wait_until_all_are_at(self, heads: dict[str, int]) -> dict[str, Any]:
        """Wait until every client is connected and has every event; return their state."""

        def have_arrived() -> bool:
            report = self.report()
            return bool(report["faults"]) or (report["live"] == CLIENTS and report["hindmost"] == heads)

        wait_until(have_arrived, f"all are at {heads}", timeout=PATIENCE, every=0.5, seen=self.report)
        return self.report()


@contextmanager
def start_clients(web: WebProcess, instances: list[str]) -> Iterator[ClientsProcess]:
    """Start two thousand clients of a web process."""
    command = [
        sys.executable,
        "-m",
        "tests.chaos.delivery.reconnecting_clients",
        str(web.port),
        str(CLIENTS),
        *instances,
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=clean_environment({})
    ) as process:
        try:
            yield ClientsProcess(process)
        finally:
            process.kill()


def count_reads(web: WebProcess) -> dict[str, float]:
    """Return the pages of events that the process has read, by cause."""
    text = httpx2.get(web.url + "/metrics", timeout=60).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["swallowtail_delivery_reads"].samples
    return {s.labels["cause"]: s.value for s in samples if s.name.endswith("_total") and s.value}


def kill(web: WebProcess) -> None:
    web.kill()


def terminate(web: WebProcess) -> None:
    assert web.terminate() == 0


@pytest.mark.parametrize(("end", "rate"), [(terminate, 2000), (kill, 250)], ids=["terminated", "killed"])
def test_two_thousand_clients_reconnect_and_each_log_is_read_once(
    new_deployment: NewDeployment, end: Callable[[WebProcess], None], rate: int
) -> None:
    deployment = new_deployment(env={"resume_rate": rate, "limits": "off"})
    web = deployment.start_web()
    authors = [Author(deployment) for _ in range(INSTANCES)]
    for author in authors:
        author.play()

    def heads() -> dict[str, int]:
        return {author.instance_id: author.head for author in authors}

    with start_clients(web, [author.instance_id for author in authors]) as clients:
        clients.wait_until_all_are_at(heads())
        for author in authors:
            author.play()
        before = clients.wait_until_all_are_at(heads())
        end(web)
        for author in authors:
            for _ in range(MISSED):
                author.play(10)
        web.start()
        after = clients.wait_until_all_are_at(heads())
        assert after["faults"] == []
        assert after["losses"] == CLIENTS
        assert after["events"] - before["events"] == CLIENTS * MISSED * 24
        assert sum(count_reads(web).values()) == INSTANCES
        assert (after.get("restarting", 0) == CLIENTS) == (end is terminate)
        assert (after.get("busy", 0) > 0) == (rate < 2000)
        for author in authors:
            author.play()
        last = clients.wait_until_all_are_at(heads())
        assert (last["faults"], last["losses"]) == ([], CLIENTS)
