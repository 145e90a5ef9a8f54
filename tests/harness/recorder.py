"""Clients that record every event they receive, in order.

`Recorder` knows section 1 of the protocol only. `ResumingRecorder` follows the client rule of section 2: it keeps the
number of the last event, continues from there on another connection, and reads a snapshot when the server sends one.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import engineio
import socketio

from tests.harness.received_events import EVENTS, Inbox, Wire
from tests.harness.waiting import wait_until


class _OrderedEngine(engineio.Client):  # type: ignore[misc] # the library has no types
    """Handles each message before it reads the next.

    The library's own client starts a thread for every message, and threads overtake each other.
    """

    def _trigger_event(self, event: str, *args: Any, **options: Any) -> Any:
        options["run_async"] = False
        return super()._trigger_event(event, *args, **options)


class _OrderedClient(socketio.Client):  # type: ignore[misc] # the library has no types
    def _engineio_client_class(self) -> type[engineio.Client]:
        return _OrderedEngine


class Recorder(Inbox):
    """A client of section 1: by default websocket only, without acknowledgements, without positions."""

    def __init__(self, url: str, *, auth: Wire | None = None, transports: Sequence[str] = ("websocket",)) -> None:
        super().__init__()
        self.url = url
        self.auth = auth
        self.transports = transports
        self.errors: list[BaseException] = []
        self._client = self._make_client()

    def connect(self, url: str | None = None) -> Self:
        """Connect (to another process, with `url`) and wait for `connected`."""
        self.url = url or self.url
        greeted = self.count("connected")
        self._client.connect(self.url, transports=list(self.transports), auth=self.auth, wait_timeout=30)
        self.wait_until(lambda: self.count("connected") > greeted, "the server says connected")
        return self

    def subscribe(self, instance_id: str) -> Wire:
        """Subscribe as an old client does and wait for `subscribed`; its payload."""
        return self._ask("subscribe_instance", instance_id, "subscribed")

    def unsubscribe(self, instance_id: str) -> Wire:
        """Unsubscribe and wait for `unsubscribed`; its payload."""
        return self._ask("unsubscribe_instance", instance_id, "unsubscribed")

    def emit(self, event: str, payload: Any, callback: Callable[..., None] | None = None) -> None:
        """Send an event, of any shape, without waiting."""
        self._client.emit(event, payload, callback=callback)

    def call(self, event: str, payload: Any) -> Any:
        """Send an event and wait for its acknowledgement."""
        return self._client.call(event, payload, timeout=30)

    def disconnect(self) -> None:
        """Say goodbye and close."""
        self._client.disconnect()

    def drop(self) -> None:
        """Cut the connection without a goodbye, as a lost network does; `connect` makes a new one."""
        client, self._client = self._client, self._make_client()
        connection = client.eio.ws
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                # Closing with unsent data thrown away makes the kernel send a reset instead of an orderly end.
                connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sock.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: client.eio.state == "disconnected", "the cut connection is noticed")
            connection.shutdown()

    @property
    def is_connected(self) -> bool:
        """Whether the connection stands."""
        return bool(self._client.connected)

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def _ask(self, event: str, instance_id: str, answer: str) -> Wire:
        def answers() -> list[Wire]:
            return [p for p in self.payloads(answer) if p.get("instance_id") == instance_id]

        before = len(answers())
        self.emit(event, {"instance_id": instance_id})
        self.wait_until(lambda: len(answers()) > before, f"the server says {answer}")
        return answers()[-1]

    def _make_client(self) -> socketio.Client:
        client = _OrderedClient(reconnection=False, handle_sigint=False)
        for name in EVENTS:
            client.on(name, self._receiver(name))
        return client

    def _receiver(self, name: str) -> Callable[..., None]:
        def take(payload: Wire | None = None) -> None:
            try:
                self.receive(name, payload or {})
            except Exception as error:
                # The library would only log it.
                self.errors.append(error)
                raise

        return take


@dataclass
class Position:
    """Where a resuming client stands in one instance's log, and what it has applied."""

    epoch: str | None = None
    seq: int | None = None
    log: list[Wire] = field(default_factory=list)
    snapshots: list[Wire] = field(default_factory=list)
    answers: list[Wire] = field(default_factory=list)
    repeats: int = 0

    def since(self) -> Wire | None:
        """The cursor to subscribe with."""
        return None if self.seq is None else {"epoch": self.epoch, "seq": self.seq}


class ResumingRecorder(Recorder):
    """A client of section 2. `log(instance_id)` is what it applied, over all its connections."""

    def __init__(self, url: str, *, auth: Wire | None = None, transports: Sequence[str] = ("websocket",)) -> None:
        super().__init__(url, auth=auth, transports=transports)
        self.positions: dict[str, Position] = {}

    def log(self, instance_id: str, task_id: str | None = None) -> list[Wire]:
        """The durable events applied (of one task), in order."""
        return [e for e in self.positions[instance_id].log if task_id in (None, e["task_id"])]

    def follow(self, instance_id: str, *, epoch: str | None = None, seq: int | None = None) -> Wire:
        """Subscribe from where this client stands, or from an explicit place; the server's acknowledgement."""
        position = self.positions.setdefault(instance_id, Position())
        if seq is not None:
            position.epoch, position.seq = epoch, seq
        before = len(position.answers)
        self._ask_from(instance_id)
        self.wait_until(lambda: len(position.answers) > before, f"the subscription to {instance_id} is acknowledged")
        return position.answers[-1]

    def resume(self, url: str | None = None) -> None:
        """Connect again (to another process, with `url`) and continue every subscription."""
        self.connect(url)
        for instance_id in self.positions:
            self.follow(instance_id)

    def drop_and_resume(self, url: str | None = None) -> None:
        """Lose the connection, then connect again and continue."""
        self.drop()
        self.resume(url)

    def wait_for_log(self, instance_id: str, seq: int) -> list[Wire]:
        """Wait until everything up to this number is applied; the log."""
        self.wait_until(lambda: (self.positions[instance_id].seq or 0) >= seq, f"event {seq} is applied")
        return self.log(instance_id)

    def receive(self, name: str, payload: Wire) -> None:
        """Record the message and apply it by the client rule."""
        super().receive(name, payload)
        position = self.positions.get(payload.get("instance_id", ""))
        if position is None:
            return
        if name in ("task_update", "execution_step") and "seq" in payload:
            self._apply(position, payload)
        elif name == "head" and position.seq is not None and payload["seq"] > position.seq:
            self._ask_from(payload["instance_id"])
        elif name == "skip" and position.seq is not None:
            self._skip(position, payload)
        elif name == "reset" and payload["reason"] != "revoked":
            self._ask_from(payload["instance_id"])

    def _apply(self, position: Position, event: Wire) -> None:
        if position.seq is None:
            position.epoch, position.seq = event["epoch"], event["seq"] - 1
        if event["epoch"] != position.epoch or event["seq"] > position.seq + 1:
            self._ask_from(event["instance_id"])
        elif event["seq"] <= position.seq:
            position.repeats += 1
        else:
            position.log.append(event)
            position.seq = event["seq"]

    def _skip(self, position: Position, payload: Wire) -> None:
        assert position.seq is not None
        if payload["epoch"] != position.epoch or payload["after"] > position.seq:
            self._ask_from(payload["instance_id"])
        else:
            position.seq = max(position.seq, payload["seq"])

    def _ask_from(self, instance_id: str) -> None:
        since = self.positions[instance_id].since()
        request = {"instance_id": instance_id, **({"since": since} if since else {})}
        self.emit("subscribe_instance", request, lambda answer: self._take_answer(instance_id, answer))

    def _take_answer(self, instance_id: str, answer: Wire) -> None:
        position = self.positions[instance_id]
        if answer.get("mode") == "snapshot":
            position.snapshots.append(answer["snapshot"])
            position.epoch, position.seq = answer["epoch"], answer["head"]
        elif answer.get("ok") and position.seq is None:
            position.epoch, position.seq = answer["epoch"], answer["head"]
        position.answers.append(answer)
