"""Both engines of the websockets under eventlet serve the same stream."""

from __future__ import annotations

import pytest

from tests.harness.recorder import ResumingRecorder
from tests.journey.author import Author
from tests.journey.test_delivery_modes import NewHouse
from tests.journey.test_delivery_resume import assert_complete


@pytest.mark.parametrize("engine", ["fast", "stock"])
def test_a_client_gets_everything_from_either_engine(new_house: NewHouse, engine: str) -> None:
    house = new_house(env={"engine": engine})
    web = house.start_web()
    author = Author(house)
    with ResumingRecorder(web.url) as client:
        client.follow(author.instance_id)
        author.play()
        assert_complete(client, author)
