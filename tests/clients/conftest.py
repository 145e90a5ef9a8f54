"""A Python client, connected to a fake server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.fake_connection import FakeConnection, FakeServer
from tests.clients.recording_client import RecordingClient


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def client(server: FakeServer) -> Iterator[RecordingClient]:
    client = RecordingClient(server)
    client.connect()
    yield client
    client.disconnect()


@pytest.fixture
def connection(client: RecordingClient, server: FakeServer) -> FakeConnection:
    return server.wait_for(1)
