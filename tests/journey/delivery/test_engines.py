"""Both websocket engines under eventlet serve the same stream."""

from __future__ import annotations

import pytest

from tests.harness.recorder import ResumingRecorder
from tests.journey.delivery.test_resume import assert_complete
from tests.journey.delivery.test_server_modes import NewDeployment
from tests.journey.event_writer import Author


@pytest.mark.parametrize("engine", ["fast", "stock"])
def test_a_client_gets_everything_from_either_engine(new_deployment: NewDeployment, engine: str) -> None:
    deployment = new_deployment(env={"engine": engine})
    web = deployment.start_web()
    author = Author(deployment)
    with ResumingRecorder(web.url) as client:
        client.follow(author.instance_id)
        author.play()
        assert_complete(client, author)
