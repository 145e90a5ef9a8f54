"""Beside the road: two tenants on a real house that asks who they are, each with an owner who has a token."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import httpx

from app.core import users
from app.core.access import Actor, Caller
from app.core.grants import PersonalWish, mint_personal
from tests.conformance.line import Line, Peer, Surprise
from tests.harness.house import House

#: Limits that a test asking thousands of times does not meet, and passwords that are cheap to hash.
ENV: dict[str, object] = {
    "auth": "required",
    "secret_key": "k" * 40,
    "password_memory_kib": 8,
    "password_rounds": 1,
    "limits": "off",
    "client_rate": 1_000_000,
}

#: So many of the server's pings without an answer mean that there will be none.
PINGS = 4


class Tenant:
    """One owner: what they ask and hear, and every byte that they were sent."""

    def __init__(self, house: House, url: str, name: str) -> None:
        self.name, self.url = name, url
        #: Stands in every text of this tenant's, and nowhere else.
        self.marker = f"{name}-zebrafinch"
        created = users.create_user(house.runtime(), name, "correct horse battery")
        self.actor = Actor("user", created["id"], name, user_id=created["id"])
        acting = house.runtime().by(Caller(self.actor, "rest"))
        self.token = mint_personal(acting, PersonalWish("test")).secret
        self.told: list[str] = []
        self.tasks: list[str] = []
        self.schedules: list[str] = []
        self._client = httpx.Client(base_url=f"{url}/api/v1", headers={"Authorization": f"Bearer {self.token}"})
        self.instance = str(self.ask("POST", "/instances", {"name": self.marker}).json()["id"])
        self.line = self._connect()

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """Ask the REST API; what it says is kept."""
        answer = self._client.request(method, path, json=body, timeout=60)
        self.told.append(answer.text + repr(dict(answer.headers)))
        return answer

    def say(self, event: str, payload: Any) -> Any:
        """Emit an event and wait for its acknowledgement; all that comes before it is kept. Raises AssertionError."""
        self.line.send("427" + json.dumps([event, payload]))
        begun = len(self.told)
        while self.told[begun:].count("2") < PINGS:
            packet = self._take()
            if packet.startswith("437["):
                return json.loads(packet[3:])[0]
        raise AssertionError(f"{event} was not answered while {PINGS} pings came")

    def hear_until(self, is_last: Callable[[dict[str, Any]], bool]) -> None:
        """Keep what comes, up to an event that is the last."""
        while True:
            packet = self._take()
            if packet.startswith("42[") and is_last(json.loads(packet[2:])[1]):
                return

    def reconnect(self) -> None:
        """Drop the connection and make a new one."""
        with contextlib.suppress(Surprise), self.line:
            pass
        self.line = self._connect()

    def close(self) -> None:
        """Close what is open."""
        self._client.close()
        with self.line:
            pass

    def _connect(self) -> Line:
        line = Peer("ours", self.url).opened()
        line.send("40" + json.dumps({"token": self.token}))
        line.take_connect()
        return line

    def _take(self) -> str:
        packet = self.line.take(pings=True)
        if packet == "2":
            self.line.send("3")
        text = packet if isinstance(packet, str) else repr(packet)
        self.told.append(text)
        return text
