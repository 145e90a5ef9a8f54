"""Keeps a client connected: opens a connection, waits for its end and opens the next one, in a thread of its own."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import ConnectionFailed
from .log_position import Payload
from .socket_connection import Receive, Refused, ServerConnection

log = logging.getLogger(__name__)

#: A pause is this much shorter or longer than it should be.
EARLIEST, LATEST = 0.75, 1.25
#: Many clients lose their connections at one moment; they reconnect over a time of this many `retry_after`.
SPREAD = 10

#: A token, or a function that returns one.
Token = str | Callable[[], str]


@dataclass(frozen=True)
class Timeouts:
    """Seconds: the longest wait for an answer, and the shortest and the longest pause before another try."""

    answer_within: float
    retry_after: float
    retry_at_most: float


@dataclass(frozen=True)
class Listener:
    """The functions that a keeper calls, from its threads."""

    #: A connection brought a message; the message `connect` is the first one.
    received: Callable[[ServerConnection, str, Payload], None]
    #: A connection has ended, or could not be opened; the text is the reason.
    lost: Callable[[ServerConnection, str], None]
    #: The server refuses this client, and the keeper stops.
    refused: Callable[[Refused], None]


class ConnectionKeeper:
    """Opens one connection after another until `stop`."""

    def __init__(
        self,
        get_address: Callable[[], tuple[str, Payload | None]],
        token: Token | None,
        times: Timeouts,
        make_connection: Callable[[Receive], ServerConnection],
        listener: Listener,
    ) -> None:
        """Prepare a keeper; `get_address` returns the server's URL and what the handshake shows besides the token."""
        self._get_address = get_address
        self._token = token
        self._times = times
        self._make_connection = make_connection
        self._listener = listener
        self._stopping = threading.Event()
        #: The server accepted a connection of this client before.
        self.was_accepted = False
        #: The connection that is being opened or used; messages of older ones are ignored.
        self.latest: ServerConnection | None = None
        #: Seconds after which a server that restarts expects this client again.
        self._reconnect_in: float | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether no connection is opened any more."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Allow another `run`."""
        self._stopping.clear()
        self.latest = None

    def stop(self) -> None:
        """Open no further connection."""
        self._stopping.set()

    def run(self) -> None:
        """Open connections until `stop`, or until the server refuses this client."""
        pause = self._times.retry_after
        while not self._stopping.is_set():
            began = time.monotonic()
            was_open = False
            self._reconnect_in = None
            try:
                self._use_one_connection()
                was_open = True
            except Refused as refusal:
                if not (self.was_accepted and callable(self._token)):
                    self._listener.refused(refusal)
                    return
                # The token has expired in the meantime; the next connection shows another one.
                self._stopping.wait(jitter(self._times.retry_at_most))
                continue
            except ConnectionFailed as fault:
                log.info("no connection to %s: %s", self._get_address()[0], fault)
            if time.monotonic() - began > self._times.retry_at_most:
                pause = self._times.retry_after
            self._stopping.wait(self.choose_pause(pause, was_open=was_open))
            pause = min(2 * pause, self._times.retry_at_most)

    def choose_pause(self, pause: float, *, was_open: bool) -> float:
        """Return the seconds until the next connection: as the server asked, or at random around `pause`."""
        if self._reconnect_in is not None:
            return self._reconnect_in
        if was_open:
            return random.uniform(0.0, max(2 * pause, SPREAD * self._times.retry_after))
        return jitter(pause)

    def renew_token(self, deliver: Callable[[str], None]) -> None:
        """Ask the token function for another token in a thread, since it may take a while; does nothing without one."""

        def fetch() -> None:
            try:
                deliver(self._present()["token"])
            except ConnectionFailed as fault:
                log.warning("%s", fault)

        if callable(self._token):
            threading.Thread(target=fetch, name="token", daemon=True).start()

    def _use_one_connection(self) -> None:
        def receive(name: str, payload: Payload) -> None:
            if name == "restarting":
                # At once: the connection may end before the listener's thread handles the message.
                self._reconnect_in = payload["retry_after_ms"] / 1000
            self._listener.received(connection, name, payload)

        connection = self.latest = self._make_connection(receive)
        reason = "failed"
        try:
            auth = self._get_address()[1] if self._token is None else self._present()
            connection.open(self._get_address()[0], auth, self._times.answer_within)
            if self._stopping.is_set():
                connection.close()
            reason = connection.wait()
        except ConnectionFailed as fault:
            reason = str(fault)
            raise
        finally:
            self._listener.lost(connection, reason)

    def _present(self) -> Payload:
        """Return what the handshake shows, with the token. Raises ConnectionFailed when the token function fails."""
        try:
            token = self._token() if callable(self._token) else self._token
        except Exception as fault:
            raise ConnectionFailed(f"no token: {fault}") from fault
        return {**(self._get_address()[1] or {}), "token": token}


def jitter(seconds: float) -> float:
    """Return a time near this one, so that clients that began together do not act together."""
    return seconds * random.uniform(EARLIEST, LATEST)
