"""The server spreads reconnecting clients: before a process ends, and when too many resume."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.harness.deployment import Deployment
from tests.harness.received_events import assert_contiguous
from tests.harness.recorder import Recorder, ResumingRecorder
from tests.harness.server_modes import WAYS
from tests.harness.waiting import wait_until
from tests.journey.event_writer import Author

NewDeployment = Callable[..., Deployment]


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_the_last_message_of_a_process_has_a_time_to_reconnect_for_each_client(
    new_deployment: NewDeployment, way: str
) -> None:
    deployment = new_deployment(env={**WAYS[way], "resume_rate": 10})
    web = deployment.start_web()
    author = Author(deployment)
    clients = [Recorder(web.url).connect() for _ in range(20)]
    for client in clients:
        client.subscribe(author.instance_id)
    author.play()
    for client in clients:
        client.wait_for_seq(author.instance_id, 8)
    assert web.terminate() == 0
    for client in clients:
        wait_until(lambda client=client: not client.is_connected, "the connection ends")  # type: ignore[misc]
        name, payload = client.messages[-1]
        assert (name, set(payload)) == ("restarting", {"retry_after_ms"})
        assert client.events() == author.events
        client.drop()
    pauses = [client.payloads("restarting")[0]["retry_after_ms"] for client in clients]
    # Twenty clients at ten a second: two seconds, in which no two have the same time except by chance.
    assert all(0 <= pause <= 2000 for pause in pauses)
    assert len(set(pauses)) > 15


@pytest.mark.long
def test_clients_that_resume_beyond_the_rate_get_a_later_time_and_others_do_not(new_deployment: NewDeployment) -> None:
    deployment = new_deployment(env={"resume_rate": 2})
    web = deployment.start_web()
    author = Author(deployment)
    author.play()
    since = {"instance_id": author.instance_id, "since": {"epoch": author.epoch, "seq": 0}}
    refused: list[int] = []
    with Recorder(web.url) as client:
        for _ in range(6):
            answer = client.call("subscribe_instance", since)
            if not answer["ok"]:
                error = answer["error"]
                assert (error["code"], set(error)) == ("busy", {"code", "message", "retry_after_ms"})
                refused.append(error["retry_after_ms"])
        assert client.payloads("error") != []
        assert refused
        assert min(refused) > 0
        assert client.is_connected
        # A client without positions gets no assigned time.
        for _ in range(6):
            assert client.call("subscribe_instance", {"instance_id": author.instance_id})["ok"]
    time.sleep(max(refused) / 1000)
    with ResumingRecorder(web.url) as client:
        assert client.follow(author.instance_id, epoch=author.epoch, seq=0)["mode"] == "replay"
        assert_contiguous(client.wait_for_log(author.instance_id, 8))
