"""Watches the tasks of instances over Socket.IO and misses nothing, whatever happens to the connection.

    class Printer(TaskWebSocketClient):
        def handle_task_update(self, event):
            print(event["task_id"], event["data"].get("status"), event["data"]["progress"])

        def handle_execution_step(self, event):
            print(event["data"]["agent"], event["data"]["action"], event["data"]["status"])

    client = Printer("http://localhost:8000")
    client.connect()
    client.subscribe("demo")

Needs `python-socketio[client]` and the files beside this one. Each numbered event reaches the handlers once and in
order; after a lost connection the client subscribes again from the last number it applied. A server that numbers
nothing (section 1 of docs/protocol.md) works too, without that promise. All handlers run in one thread of the client's
own; its methods may be called from any.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .handlers import Handlers, State
from .log_position import LogPosition, Payload, Since, StepTexts, Verdict
from .socket_connection import Connection, ConnectionFailed, Receive, Refused, SocketConnection

log = logging.getLogger(__name__)

#: Refusals that may pass by themselves.
PASSING = frozenset({"unavailable", "busy", "error"})
#: A pause is this much shorter or longer than it should be.
EARLIEST, LATEST = 0.75, 1.25
#: A crowd loses its connections at one moment; it comes back over a time of this many `retry_after`.
SPREAD = 10


#: A token, or whoever is to be asked for one.
Token = str | Callable[[], str]


@dataclass
class _Subscription:
    position: LogPosition
    request: int = 0
    pause: float = 0.0
    due: float | None = None
    confirmed: bool = False


class TaskWebSocketClient(Handlers):
    """Connects, subscribes, and calls the `handle_…` methods, which a subclass overrides."""

    def __init__(
        self,
        url: str,
        *,
        auth: Payload | None = None,
        token: Token | None = None,
        answer_within: float = 10.0,
        retry_after: float = 0.1,
        retry_at_most: float = 5.0,
        make_connection: Callable[[Receive], Connection] = SocketConnection,
    ) -> None:
        """Prepare a client of the server at `url`; `auth` goes with the handshake, times are seconds.

        `token` is what to show; a function is asked for it at every connection, and for another one before the one
        shown expires.
        """
        self._token = token
        self._was_let_in = False
        self.url = url
        self.auth = auth
        self._answer_within = answer_within
        self._retry_after = retry_after
        self._retry_at_most = retry_at_most
        self._make_connection = make_connection
        self._inbox: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        self._refusal: ConnectionFailed | None = None
        self._changed = threading.Condition()
        self._state: State = "offline"
        self._reached: dict[str, Since | None] = {}
        #: The connection that is being made or used; what older ones still bring is not listened to.
        self._latest: Connection | None = None
        #: Seconds after which a server that is about to end wants to see this client again.
        self._appointment: float | None = None
        # The worker thread alone touches these.
        self._connection: Connection | None = None
        self._subscriptions: dict[str, _Subscription] = {}
        self._tasks: set[str] = set()
        self._texts = StepTexts()
        self._requests = 0

    # --- What a caller does -------------------------------------------------------------------------------------------

    def connect(self, timeout: float = 10.0) -> None:
        """Connect, and keep connecting after every loss until `disconnect`.

        Raises:
            ConnectionFailed: there was no connection within `timeout` seconds, or the server refuses this client.
        """
        if self._threads and not self._closing.is_set():
            raise RuntimeError("this client is connected already")
        self._join()
        self._closing.clear()
        self._refusal = self._latest = None
        targets = (self._keep_connected, self._work)
        self._threads = [threading.Thread(target=t, name=f"{type(self).__name__}{t.__name__}") for t in targets]
        for thread in self._threads:
            thread.daemon = True
            thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._state != "offline" or self._refusal is not None, timeout)
            failed = self._state == "offline"
        if failed:
            refusal = self._refusal
            self.disconnect()
            raise refusal or ConnectionFailed(f"no connection to {self.url} within {timeout:g} s")

    def disconnect(self) -> None:
        """Close the connection for good. Subscriptions are kept for another `connect`."""
        if self._threads and not self._closing.is_set():
            self._closing.set()
            self._inbox.put(self._close)
            self._inbox.put(None)
        if threading.current_thread() not in self._threads:  # a handler may call this, but it cannot wait for itself
            self._join()

    def subscribe(self, instance_id: str, *, since: Since | None = None, snapshot: bool = False) -> None:
        """Watch an instance: from now on; or after `since`; or, with `snapshot`, from its present state."""
        self._inbox.put(lambda: self._start(instance_id, LogPosition(since, snapshot=snapshot)))

    def unsubscribe(self, instance_id: str) -> None:
        """Stop watching an instance."""
        self._inbox.put(lambda: self._stop(instance_id))

    def subscribe_task(self, task_id: str) -> None:
        """Watch the text that a task's running steps stream."""

        def start() -> None:
            self._tasks.add(task_id)
            self._emit("subscribe_task", {"task_id": task_id})

        self._inbox.put(start)

    def unsubscribe_task(self, task_id: str) -> None:
        """Stop watching a task's text."""

        def stop() -> None:
            self._tasks.discard(task_id)
            self._emit("unsubscribe_task", {"task_id": task_id})

        self._inbox.put(stop)

    @property
    def state(self) -> State:
        """Whether this client is offline, catching up or live."""
        return self._state

    def position(self, instance_id: str) -> Since | None:
        """The last event applied, to continue from in another process."""
        with self._changed:
            return self._reached.get(instance_id)

    def wait_for(self, instance_id: str, seq: int, timeout: float = 30.0) -> None:
        """Wait until an event has been handled, such as the one that an HTTP write answered with.

        Raises:
            TimeoutError: it has not within `timeout` seconds.
        """

        def reached() -> bool:
            last = self._reached.get(instance_id)
            return last is not None and last["seq"] >= seq

        self._wait(reached, timeout, f"event {seq} of {instance_id}")

    def wait_until_live(self, timeout: float = 30.0) -> None:
        """Wait until the connection stands and every subscription has caught up. Raises TimeoutError."""
        begun = threading.Event()

        def begin() -> None:
            begun.set()
            self._settle()

        self._inbox.put(begin)  # behind the subscriptions asked for so far
        self._wait(lambda: begun.is_set() and self._state == "live", timeout, "being live")

    # --- Threads ------------------------------------------------------------------------------------------------------

    def _keep_connected(self) -> None:
        pause = self._retry_after
        while not self._closing.is_set():
            began = time.monotonic()
            stood = False
            self._appointment = None
            try:
                self._live_through_a_connection()
                stood = True
            except Refused as refusal:
                if self._was_let_in and callable(self._token):
                    # The token has ended meanwhile; the next connection shows another one.
                    self._closing.wait(_jitter(self._retry_at_most))
                    continue
                self._inbox.put(lambda refusal=refusal: self._refused_connection(refusal))  # type: ignore[misc]
                return
            except ConnectionFailed as fault:
                log.info("no connection to %s: %s", self.url, fault)
            if time.monotonic() - began > self._retry_at_most:
                pause = self._retry_after
            self._closing.wait(self._choose_pause(pause, stood=stood))
            pause = min(2 * pause, self._retry_at_most)

    def _choose_pause(self, pause: float, *, stood: bool) -> float:
        if self._appointment is not None:
            return self._appointment
        return random.uniform(0.0, max(2 * pause, SPREAD * self._retry_after)) if stood else _jitter(pause)

    def _live_through_a_connection(self) -> None:
        def receive(name: str, payload: Payload) -> None:
            if name == "restarting":
                # At once: the connection may be gone before the worker thread gets to it.
                self._appointment = payload["retry_after_ms"] / 1000
            self._inbox.put(lambda: self._receive(connection, name, payload))

        connection = self._latest = self._make_connection(receive)
        reason = "failed"
        try:
            connection.open(self.url, self._present(), self._answer_within)
            if self._closing.is_set():
                connection.close()
            reason = connection.wait()
        except ConnectionFailed as fault:
            reason = str(fault)
            raise
        finally:
            self._inbox.put(lambda: self._lost(connection, reason))

    def _present(self) -> Payload | None:
        """Return what the handshake shows. Raises ConnectionFailed when no token can be had."""
        if self._token is None:
            return self.auth
        try:
            return {**(self.auth or {}), "token": self._token() if callable(self._token) else self._token}
        except Exception as fault:
            raise ConnectionFailed(f"no token: {fault}") from fault

    def _work(self) -> None:
        while True:
            due = min((s.due for s in self._subscriptions.values() if s.due is not None), default=None)
            try:
                item = self._inbox.get(timeout=None if due is None else max(due - time.monotonic(), 0.0))
            except queue.Empty:
                self._ask_what_is_due()
                continue
            if item is None:
                return
            item()

    def _join(self) -> None:
        while self._threads:
            self._threads[-1].join()
            self._threads.pop()

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        if threading.current_thread() in self._threads:
            raise RuntimeError("a handler cannot wait for what only comes after it")
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                raise TimeoutError(f"{what} did not come within {timeout:g} s")

    # --- The connection (from here on: the worker thread) -------------------------------------------------------------

    def _receive(self, connection: Connection, name: str, payload: Payload) -> None:
        if name == "connect":
            self._welcome(connection)
        elif connection is self._connection:
            take = self._TAKERS.get(name)
            if take is not None:
                take(self, payload)

    def _welcome(self, connection: Connection) -> None:
        if connection is not self._latest or self._closing.is_set():
            return
        self._connection = connection
        self._was_let_in = True
        for task_id in self._tasks:
            self._emit("subscribe_task", {"task_id": task_id})
        for instance_id in self._subscriptions:
            self._ask(instance_id)
        self._settle()

    def _lost(self, connection: Connection, reason: str) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        for subscription in self._subscriptions.values():
            subscription.due = None
            subscription.position.ask()
        self._settle()
        self._tell(self.handle_disconnected, reason)

    def _close(self) -> None:
        connection = self._connection
        if connection is not None:
            connection.close()
            self._lost(connection, "client disconnect")

    def _refused_connection(self, refusal: Refused) -> None:
        self._tell(self.handle_error, {"code": "connect_error", "message": str(refusal)})
        with self._changed:
            self._refusal = refusal
            self._changed.notify_all()

    def _emit(self, name: str, payload: Payload, answer: Callable[..., None] | None = None) -> None:
        if self._connection is not None:
            self._connection.emit(name, payload, answer)

    # --- Subscriptions ------------------------------------------------------------------------------------------------

    def _start(self, instance_id: str, position: LogPosition) -> None:
        self._subscriptions[instance_id] = _Subscription(position)
        self._ask(instance_id)

    def _stop(self, instance_id: str) -> None:
        if self._subscriptions.pop(instance_id, None) is not None:
            self._emit("unsubscribe_instance", {"instance_id": instance_id})
            self._settle()

    def _ask(self, instance_id: str) -> None:
        subscription = self._subscriptions[instance_id]
        subscription.position.ask()
        subscription.confirmed = False
        subscription.due = None
        if self._connection is None:
            return
        self._requests += 1
        request = subscription.request = self._requests
        since = subscription.position.since

        def take_answer(answer: Payload | None = None, *_: object) -> None:
            self._inbox.put(lambda: self._answered(instance_id, request, answer or {}))

        subscription.due = time.monotonic() + self._answer_within
        wanted = {"instance_id": instance_id} | ({"since": since} if since else {})
        self._emit("subscribe_instance", wanted, take_answer)
        self._settle()

    def _answered(self, instance_id: str, request: int, answer: Payload) -> None:
        subscription = self._subscriptions.get(instance_id)
        if subscription is None or subscription.request != request or self._connection is None:
            return
        subscription.due = None
        error = answer.get("error") or (answer if answer.get("ok") is False else None)
        if error is not None:
            self._refused(instance_id, subscription, error)
        elif "mode" in answer:
            if answer["mode"] == "snapshot":
                self._tell(self.handle_snapshot, instance_id, answer["snapshot"])
            self._follow(subscription, subscription.position.answer(answer))
            self._tell(self.handle_subscribed, instance_id, answer)
        self._settle()

    def _refused(self, instance_id: str, subscription: _Subscription, error: Payload) -> None:
        # `handle_error` hears of it by the `error` event that comes with every refusal.
        if "retry_after_ms" in error or error.get("code") in PASSING:
            # Not before the time told, and not all at it.
            self._ask_later(subscription, error.get("retry_after_ms", 1000 * self._retry_at_most) / 1000 / EARLIEST)
        else:
            del self._subscriptions[instance_id]

    def _ask_later(self, subscription: _Subscription, pause: float | None = None) -> None:
        """Ask again, at growing intervals as long as nothing new is applied in between."""
        pause = subscription.pause if pause is None else pause
        subscription.position.ask()
        subscription.pause = min(max(2 * subscription.pause, self._retry_after), self._retry_at_most)
        subscription.confirmed = False
        subscription.request = 0
        subscription.due = time.monotonic() + _jitter(pause)
        self._settle()

    def _ask_what_is_due(self) -> None:
        now = time.monotonic()
        for instance_id, subscription in self._subscriptions.items():
            if subscription.due is None or subscription.due > now:
                continue
            subscription.due = None
            # A server of section 1 confirms with `subscribed` and never acknowledges.
            if not subscription.confirmed:
                self._ask(instance_id)

    # --- Messages -----------------------------------------------------------------------------------------------------

    def _take(self, event: Payload) -> None:
        subscription = self._subscriptions.get(event["instance_id"])
        if subscription is not None:
            self._follow(subscription, subscription.position.take(event))

    def _follow(self, subscription: _Subscription, verdict: Verdict) -> None:
        for event in verdict.apply:
            if "seq" in event:
                subscription.pause = 0.0
            if event["type"] == "task_update":
                self._tell(self.handle_task_update, event)
                continue
            if event["data"]["status"] != "in_progress":
                self._texts.forget(event["data"]["step_id"], event.get("attempt"))
            self._tell(self.handle_execution_step, event)
        if verdict.ask:
            self._ask_later(subscription)
        elif verdict.apply:
            self._settle()

    def _take_text(self, piece: Payload) -> None:
        stream = self._texts.take(piece) if piece["task_id"] in self._tasks else None
        if stream is not None:
            self._tell(self.handle_step_output, piece, stream)

    def _take_head(self, head: Payload) -> None:
        subscription = self._subscriptions.get(head["instance_id"])
        if subscription is not None and subscription.position.take_head(head["epoch"], head["seq"]):
            self._ask_later(subscription)

    def _take_reset(self, reset: Payload) -> None:
        subscription = self._subscriptions.get(reset["instance_id"])
        if subscription is None:
            return
        if reset["reason"] != "revoked":
            self._ask_later(subscription)
            return
        del self._subscriptions[reset["instance_id"]]
        self._settle()
        self._tell(self.handle_revoked, reset["instance_id"], reset["reason"])

    def _take_skip(self, skip: Payload) -> None:
        subscription = self._subscriptions.get(skip["instance_id"])
        if subscription is not None:
            self._follow(subscription, subscription.position.take_skip(skip))
            self._settle()

    def _refresh(self, news: Payload) -> None:
        """The token expires soon: go on with another one, on this connection."""
        self._tell(self.handle_token_expiring, news["expires_at"])
        if not callable(self._token):
            return
        connection = self._connection

        def fetch() -> None:
            try:
                shown = self._present()
            except ConnectionFailed as fault:
                log.warning("%s", fault)
                return
            self._inbox.put(lambda: self._show_again(connection, shown))

        # Whoever is asked may take a while; handlers are not to wait for it.
        threading.Thread(target=fetch, name="token", daemon=True).start()

    def _show_again(self, connection: Connection | None, shown: Payload | None) -> None:
        if shown is not None and connection is self._connection:
            self._emit("refresh_token", {"token": shown["token"]})

    def _take_confirmation(self, payload: Payload) -> None:
        subscription = self._subscriptions.get(payload["instance_id"])
        if subscription is not None:
            subscription.confirmed = True
            self._settle()

    _TAKERS: dict[str, Callable[[TaskWebSocketClient, Payload], None]] = {  # noqa: RUF012 - never written to
        "connected": lambda self, payload: self._tell(self.handle_connected, payload),
        "subscribed": _take_confirmation,
        "unsubscribed": lambda self, payload: self._tell(self.handle_unsubscribed, payload["instance_id"]),
        "task_update": _take,
        "execution_step": _take,
        "step_output": _take_text,
        "head": _take_head,
        "reset": _take_reset,
        "skip": _take_skip,
        "token_expiring": _refresh,
        "error": lambda self, payload: self._tell(self.handle_error, payload),
    }

    # --- State --------------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        state = self._present_state()
        with self._changed:
            self._reached = {key: s.position.last for key, s in self._subscriptions.items()}
            changed = state != self._state
            self._state = state
            self._changed.notify_all()
        if changed:
            self._tell(self.handle_state, state)

    def _present_state(self) -> State:
        if self._connection is None:
            return "offline"
        for subscription in self._subscriptions.values():
            position = subscription.position
            if not position.settled and not (subscription.confirmed and position.last is None):
                return "catching_up"
        return "live"

    @staticmethod
    def _tell(handler: Callable[..., None], *news: object) -> None:
        """A handler's own fault may not cost it the next event, nor go unseen."""
        try:
            handler(*news)
        except Exception:
            log.exception("%s failed", handler.__name__)


def _jitter(seconds: float) -> float:
    return seconds * random.uniform(EARLIEST, LATEST)
