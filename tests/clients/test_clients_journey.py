"""The client classes with real processes: every event once and in order, through lost connections."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.clients.subjects import SUBJECTS, Closing
from tests.harness.deployment import Deployment
from tests.harness.program import Program
from tests.harness.proxies.cutting_proxy import TornWire
from tests.harness.received_events import assert_contiguous
from tests.harness.system.ports import free_port
from tests.harness.tasks.campaign import CAMPAIGN, CAMPAIGN_STORY
from tests.harness.tasks.event_lines import story

pytestmark = pytest.mark.journey


@pytest.fixture
def subjects() -> Iterator[Closing]:
    with Closing() as closing:
        yield closing


@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_campaign_reaches_a_client_that_loses_its_connection_four_times(
    kind: str, shared_deployment: Deployment, subjects: Closing
) -> None:
    instance = shared_deployment.new_instance()
    with TornWire(shared_deployment.webs[0].port, after=(2, 5, 3, 4)) as wire:
        subject = subjects.add(kind, wire.url)
        subject.subscribe(instance)
        subject.wait_until_live()
        task_id = shared_deployment.submit(instance, "social_campaign", CAMPAIGN)
        shared_deployment.wait_for_task(task_id, "COMPLETED")
        subject.inbox.wait_for_status(task_id, "COMPLETED")
        assert (wire.cuts, subject.losses) == (4, 4)
    assert subject.inbox.events() == shared_deployment.events(instance)
    assert story(subject.inbox.events()) == CAMPAIGN_STORY


@pytest.mark.long
@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_client_outlives_the_server(kind: str, new_deployment: Callable[..., Deployment], subjects: Closing) -> None:
    deployment = new_deployment()
    web = deployment.start_web()
    instance = deployment.new_instance()
    subject = subjects.add(kind, web.url)
    subject.subscribe(instance)
    subject.wait_until_live()
    deployment.submit(instance, "echo", {"message": "before"})
    subject.inbox.wait_for_seq(instance, 1)
    web.terminate()
    deployment.submit(instance, "echo", {"message": "while it is away"})
    web.start()
    deployment.submit(instance, "echo", {"message": "after"})
    subject.inbox.wait_for_seq(instance, 3)
    deployment.start_worker()
    subject.inbox.wait_until(
        lambda: sum(event["data"].get("status") == "COMPLETED" for event in subject.inbox.events()) == 3,
        "all three tasks are completed",
    )
    assert_contiguous(subject.inbox.events())
    assert subject.inbox.events() == deployment.events(instance)
    assert subject.losses == 1


@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_client_may_begin_with_a_snapshot(kind: str, shared_deployment: Deployment, subjects: Closing) -> None:
    instance = shared_deployment.new_instance()
    first = shared_deployment.submit(instance, "echo", {"message": "long ago"})
    shared_deployment.wait_for_task(first, "COMPLETED")
    head = len(shared_deployment.events(instance))
    subject = subjects.add(kind, shared_deployment.webs[1].url)
    subject.subscribe(instance, snapshot=True)
    subject.wait_until_live()
    second = shared_deployment.submit(instance, "echo", {"message": "now"})
    subject.inbox.wait_for_status(second, "COMPLETED")
    (snapshot,) = subject.inbox.payloads("snapshot")
    assert (snapshot["head"], [task["id"] for task in snapshot["tasks"]]) == (head, [first])
    assert subject.inbox.events() == shared_deployment.events(instance)[head:]


@pytest.mark.parametrize("kind", SUBJECTS)
def test_an_unknown_instance_is_an_error(kind: str, shared_deployment: Deployment, subjects: Closing) -> None:
    subject = subjects.add(kind, shared_deployment.webs[0].url)
    subject.subscribe("nowhere")
    subject.inbox.wait_until(lambda: subject.inbox.count("error"), "an error arrives")
    (error,) = subject.inbox.payloads("error")
    assert error["code"] == "not_found"


@pytest.mark.parametrize("kind", SUBJECTS)
def test_a_server_of_section_1_is_enough(kind: str, subjects: Closing, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "tests.clients.section_1_server", str(port)]
    old = OldServer("section-1", command, log=tmp_path / "server.log", env={"TEST_PORT": str(port)})
    with old, TornWire(port, after=()) as wire:
        subject = subjects.add(kind, wire.url)
        subject.subscribe("old")
        subject.inbox.wait_until(lambda: len(subject.inbox.events()) == 3, "the events come")
        wire.cut_all()
        subject.inbox.wait_until(lambda: len(subject.inbox.events()) == 6, "they come again after the loss")
        subject.wait_until_live()
        assert subject.losses == 1
    received = [(event["type"], event["data"].get("progress")) for event in subject.inbox.events()]
    assert received == [("task_update", 0), ("task_update", 100), ("execution_step", None)] * 2


class OldServer(Program):
    """The server of section 1 as a process."""

    def ready(self) -> bool:
        """Return whether it answers HTTP, maybe with an error."""
        try:
            httpx2.get(f"http://127.0.0.1:{self.env['TEST_PORT']}/", timeout=5)
        except httpx2.TransportError:
            return False
        return True
