"""The recording clients with a real deployment: each records all events of a task, in order."""

from __future__ import annotations

import pytest

from tests.harness.deployment import Deployment
from tests.harness.js_recorder import JsRecorder
from tests.harness.received_events import assert_contiguous, shape
from tests.harness.recorder import Recorder, ResumingRecorder

pytestmark = pytest.mark.journey

ECHO = [
    "SUBMITTED",
    "QUEUED",
    "IN_PROGRESS",
    "listen in_progress",
    "listen completed",
    "progress 50",
    "repeat in_progress",
    "repeat completed",
    "progress 100",
    "COMPLETED",
]


def test_a_client_of_section_1_sees_every_event_in_order(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    with Recorder(shared_deployment.webs[0].url) as client:
        assert client.subscribe(instance)["instance_id"] == instance
        task = shared_deployment.submit(instance, "echo", {"message": "hello"})
        client.wait_for_status(task, "COMPLETED")
        assert client.events() == shared_deployment.events(instance)
        assert shape(client.events(task)) == ECHO
        client.unsubscribe(instance)
        silent = shared_deployment.submit(instance, "echo", {"message": "unheard"})
        shared_deployment.wait_for_task(silent, "COMPLETED")
        assert client.events(silent) == []
        assert client.errors == []


def test_the_javascript_client_sees_every_event_in_order(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    with JsRecorder(shared_deployment.webs[0].url) as client:
        client.subscribe(instance)
        task = shared_deployment.submit(instance, "echo", {"message": "hello"})
        client.wait_for_status(task, "COMPLETED")
        assert client.events() == shared_deployment.events(instance)
        answer = client.call("subscribe_instance", {"instance_id": instance})
        assert (answer["ok"], answer["head"]) == (True, len(ECHO))
        client.drop()
        client.connect(shared_deployment.webs[1].url)
        client.disconnect()
        assert client.states == ["connect", "disconnect", "connect", "disconnect"]


def test_a_resuming_client_continues_at_the_other_process(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    with ResumingRecorder(shared_deployment.webs[0].url) as client:
        client.follow(instance)
        first = shared_deployment.submit(instance, "echo", {"message": "before"})
        client.wait_for_log(instance, len(ECHO))
        client.drop()
        second = shared_deployment.submit(instance, "echo", {"message": "meanwhile"})
        shared_deployment.wait_for_task(second, "COMPLETED")
        client.resume(shared_deployment.webs[1].url)
        client.wait_for_log(instance, 2 * len(ECHO))
        assert_contiguous(client.log(instance))
        assert client.log(instance) == shared_deployment.events(instance)
        assert [shape(client.log(instance, task)) for task in (first, second)] == [ECHO, ECHO]
        assert client.positions[instance].snapshots == []
        assert client.errors == []


def test_a_client_from_another_epoch_gets_a_snapshot(shared_deployment: Deployment) -> None:
    instance = shared_deployment.new_instance()
    task = shared_deployment.submit(instance, "echo", {"message": "hello"})
    shared_deployment.wait_for_task(task, "COMPLETED")
    with ResumingRecorder(shared_deployment.webs[0].url) as client:
        assert client.follow(instance, epoch="another", seq=3)["mode"] == "snapshot"
        (snapshot,) = client.positions[instance].snapshots
        assert [(view["id"], view["status"]) for view in snapshot["tasks"]] == [(task, "COMPLETED")]
