"""Bad input over long polling is refused as by websocket, and the session continues if it was a packet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.harness.deployment import Deployment

SOCKET = "/socket.io/?EIO=4&transport=polling"


class Session:
    """A Socket.IO session over plain HTTP: each packet is one POST, each answer one GET."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        opened = http.get(SOCKET).text
        assert opened.startswith("0{")
        self._address = f"{SOCKET}&sid={json.loads(opened[1:])['sid']}"
        self.send(b"40")
        assert "connected" in self.read()

    def send(self, packet: bytes) -> None:
        """Send one packet of Engine.IO."""
        sent = self.post(packet)
        assert (sent.status_code, sent.text) == (200, "ok")

    def post(self, packet: bytes) -> httpx2.Response:
        """Send anything, and return the answer."""
        return self._http.post(self._address, content=packet, headers={"Content-Type": "text/plain"})

    def read(self) -> dict[str, Any]:
        """The payloads of the events in the next answer that has any, by name."""
        while True:
            packets = self._http.get(self._address).text.split("\x1e")
            if "2" in packets:
                self.send(b"3")
            events = [json.loads(packet[2:]) for packet in packets if packet.startswith("42")]
            if events:
                return dict(events)


@pytest.fixture
def session(shared_deployment: Deployment) -> Iterator[Session]:
    with httpx2.Client(base_url=shared_deployment.webs[0].url, timeout=60) as http:
        yield Session(http)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (b'42["subscribe_instance",5]', "invalid_input"),
        (b'42["subscribe_instance",{"instance_id":"nobody"}]', "not_found"),
        (b'42["subscribe_instance",{"instance_id":"a\\u0000"}]', "invalid_input"),
        (b'42["subscribe_instance",' + b"[" * 10_000 + b"]" * 10_000 + b"]", "invalid_input"),
        (b'42["subscribe_instance",{"instance_id":"' + b"a" * 300_000 + b'"}]', "too_large"),
    ],
    ids=["number", "unknown", "escaped nul", "deep", "large"],
)
@pytest.mark.journey
def test_bad_input_is_refused_and_the_session_continues(
    shared_deployment: Deployment, session: Session, packet: bytes, code: str
) -> None:
    instance = shared_deployment.new_instance()

    session.send(packet)
    error = session.read()["error"]
    session.send(b"42" + json.dumps(["subscribe_instance", {"instance_id": instance}]).encode())

    assert error["code"] == code
    assert "Traceback" not in error["message"]
    assert session.read()["subscribed"] == {"instance_id": instance}


@pytest.mark.parametrize(
    "packet", [b'42["subscribe_instance",{"instance_id":"a\x00"}]', b"42{", b"42{}", b"4", b"4abc"]
)
@pytest.mark.journey
def test_an_invalid_socketio_packet_is_answered_and_ends_the_session(session: Session, packet: bytes) -> None:
    session.send(packet)
    assert session.read()["error"]["code"] == "invalid_input"
    assert session.post(b"3").status_code == 400


@pytest.mark.parametrize(
    "packet", [b"9", b"\xff", b"4" + b"a" * 2_000_000], ids=["unknown", "no text", "above the frame limit"]
)
@pytest.mark.journey
def test_an_invalid_packet_is_answered_and_ends_only_its_session(
    shared_deployment: Deployment, session: Session, packet: bytes
) -> None:
    with httpx2.Client(base_url=shared_deployment.webs[0].url, timeout=60) as http:
        Session(http)
        assert session.post(packet).status_code in (200, 400, 413)
        assert http.get("/healthz").status_code == 200
        Session(http)
