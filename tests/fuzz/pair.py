"""Two tenants on a real deployment with authentication, each with an owner who has a token.

Each knows the other's marker, and searches for it in every byte that it receives.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import httpx2
import websocket

from swallowtail.app.core.errors import Unavailable
from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.api_tokens import issue_personal
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import Actor, Caller
from tests.conformance.line import Line, Peer, Surprise
from tests.harness.deployment import Deployment

#: Limits that a test asking thousands of times does not meet, and passwords that are cheap to hash.
ENV: dict[str, object] = {
    "auth": "required",
    "secret_key": "k" * 40,
    "max_user_instances": 1_000_000,
    "password_memory_kib": 8,
    "password_rounds": 1,
    "limits": "off",
    "client_rate": 1_000_000,
}

#: So many of the server's pings without an answer mean that there will be none.
PINGS = 4
#: Seconds that an answer of the REST API may take.
PATIENCE = 300.0
#: A connection that was not listened to for so many seconds may have been given up for a ping that was not answered.
SILENCE = 15.0
#: So many of the latest messages are kept, and so many of them shown when a connection ends that should not have.
KEPT, SHOWN = 10_000, 6


class Tenant:
    """One owner: requests, received messages, and those with data of the other."""

    def __init__(self, deployment: Deployment, url: str, name: str, other: str) -> None:
        self.name, self.url = name, url
        #: Stands in every text of this tenant's, and nowhere else.
        self.marker = mark(name)
        self.leaked: list[str] = []
        self.received_own = False
        self._others = mark(other)
        self.received: deque[str] = deque(maxlen=KEPT)
        self._listened_at = time.monotonic()
        created = users.create_user(deployment.runtime(), name, "correct horse battery")
        self.actor = Actor("user", created["id"], name, user_id=created["id"])
        acting = deployment.runtime().by(Caller(self.actor, "rest"))
        self.token = issue_personal(acting, NewToken(name="test"))["secret"]
        self.tasks: list[str] = []
        self.schedules: list[str] = []
        self._client = httpx2.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {self.token}"})
        self.instance = str(self.request("POST", "/instances", {"name": self.marker}).json()["id"])
        self.line = self._connect()

    def request(self, method: str, path: str, body: Any = None) -> httpx2.Response:
        """Send a REST request; repeat it while the database is unavailable, as on a slow machine."""
        while True:
            answer = self._client.request(method, path, json=body, timeout=PATIENCE)
            self._check_for_leaks(answer.text + repr(dict(answer.headers)))
            if answer.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
                return answer

    def emit(self, event: str, payload: Any) -> dict[str, Any]:
        """Emit an event and return its acknowledgement; tries as `request` does. Raises AssertionError."""
        while True:
            answer = self._emit_once(event, payload)
            if answer.get("error", {}).get("code") != Unavailable.code:
                return answer

    def _emit_once(self, event: str, payload: Any) -> dict[str, Any]:
        self.line.send("427" + json.dumps([event, payload]))
        pings = 0
        while pings < PINGS:
            packet = self._receive()
            if packet.startswith("437["):
                reply: dict[str, Any] = json.loads(packet[3:])[0]
                return reply
            pings += packet == "2"
        raise AssertionError(f"{event} was not answered within {PINGS} pings")

    def receive_until(self, is_last: Callable[[dict[str, Any]], bool]) -> None:
        """Receive messages up to the last event."""
        while True:
            packet = self._receive()
            if packet.startswith("42[") and is_last(json.loads(packet[2:])[1]):
                return

    def receive_waiting(self) -> None:
        """Receive the messages that have arrived, and answer a ping."""
        if time.monotonic() - self._listened_at > SILENCE:
            self.reconnect()
        self._receive_all()

    def reconnect(self) -> None:
        """Receive the messages that have arrived, and connect again."""
        # A closed connection accepts no answer to a ping.
        with contextlib.suppress(Surprise, OSError, websocket.WebSocketException), self.line:
            self._receive_all()
        self.line = self._connect()
        self._listened_at = time.monotonic()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        with self.line:
            pass

    def _connect(self) -> Line:
        line = Peer("ours", self.url).opened()
        line.send("40" + json.dumps({"token": self.token}))
        line.take_connect()
        return line

    def _receive_all(self) -> None:
        while self.line.has_come():
            self._receive()
        self._listened_at = time.monotonic()

    def _receive(self) -> str:
        silent = time.monotonic() - self._listened_at
        try:
            packet = self.line.take(pings=True)
        except Surprise as end:
            last = [text[:500] for text in list(self.received)[-SHOWN:]]
            raise Surprise(
                f"{self.name}: {end}, {silent:.1f} s after the last read; the last messages were {last}"
            ) from end
        self._listened_at = time.monotonic()
        if packet == "2":
            self.line.send("3")
        text = packet if isinstance(packet, str) else repr(packet)
        self._check_for_leaks(text)
        return text

    def _check_for_leaks(self, text: str) -> None:
        self.received.append(text)
        self.received_own = self.received_own or self.marker in text
        if self._others in text:
            self.leaked.append(text)


def mark(name: str) -> str:
    """Return the marker that every text of a tenant contains."""
    return f"{name}-zebrafinch"
