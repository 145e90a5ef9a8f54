"""Ten thousand clients in one web process: each is subscribed and receives the event."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator

import pytest

from bench.load import Load
from swallowtail.app.core.events import TASK_UPDATE
from swallowtail.app.core.ledger.event_log import Change
from swallowtail.app.core.tables.tasks import Task
from tests.harness.deployment import Deployment
from tests.journey.event_writer import Author

pytestmark = pytest.mark.journey

CLIENTS = 10_000
SPARE = 300


@pytest.fixture
def descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < CLIENTS + SPARE:
        pytest.skip(f"this system allows a process {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CLIENTS + SPARE), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.long
@pytest.mark.usefixtures("descriptors")
def test_ten_thousand_clients_of_one_process_get_every_event(new_deployment: Callable[..., Deployment]) -> None:
    deployment = new_deployment(env={"max_connections": CLIENTS})
    author = Author(deployment)
    task_id = author.submit()
    load = Load()
    load.port = deployment.start_web().port
    opened = load.connect(CLIENTS, rooms=[author.instance_id], window=200)
    assert opened["connected"] == CLIENTS

    def write() -> None:
        for number in (1, 2, 3):

            def work(change: Change, mark: str = f"@{number}:0@") -> None:
                change.record(change.session.get_one(Task, task_id), TASK_UPDATE, {"message": mark}, fact=mark)

            author.rt.commit(work)

    writer = threading.Thread(target=write)
    writer.start()
    seen = load.collect(per_client=3, patience=60)
    writer.join()
    load.drop()
    received = {name: seen[name] for name in ("delivered", "repeated", "gaps", "disconnected")}
    assert received == {"delivered": 3 * CLIENTS, "repeated": 0, "gaps": 0, "disconnected": 0}
