"""Keeps a client's subscriptions: subscribes, subscribes again over gaps, and applies events in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .connection_keeper import EARLIEST, Timeouts, jitter
from .handlers import Handlers, notify
from .log_position import Decision, LogPosition, Payload, Since, StepTexts

#: Refusals that may pass by themselves.
RETRYABLE = frozenset({"unavailable", "busy", "error"})


class Emit(Protocol):
    """Sends a message to the server; returns False when there is no connection."""

    def __call__(self, name: str, payload: Payload, answer: Callable[..., None] | None = None) -> bool: ...  # noqa: D102


@dataclass
class _Subscription:
    position: LogPosition
    #: The number of the request that awaits its answer; 0: none does.
    request: int = 0
    pause: float = 0.0
    #: When to subscribe again, unless an answer comes before.
    due: float | None = None
    #: A server of section 1 confirmed it with `subscribed`.
    confirmed: bool = False


class SubscriptionBook:
    """The subscriptions of one client, to instances and to the text of tasks. One thread calls all methods."""

    def __init__(
        self,
        handlers: Handlers,
        times: Timeouts,
        emit: Emit,
        post: Callable[[Callable[[], object]], None],
        changed: Callable[[], None],
    ) -> None:
        """Begin without subscriptions.

        `post` calls a function in the thread of the book; `changed` is called when a position or state may differ.
        """
        self._handlers = handlers
        self._times = times
        self._emit = emit
        self._post = post
        self._changed = changed
        self._subscriptions: dict[str, _Subscription] = {}
        self._tasks: set[str] = set()
        self._texts = StepTexts()
        self._requests = 0

    @property
    def is_settled(self) -> bool:
        """Whether every subscription has caught up."""
        return all(
            s.position.settled or (s.confirmed and s.position.last is None) for s in self._subscriptions.values()
        )

    @property
    def positions(self) -> dict[str, Since | None]:
        """The last event applied of each instance."""
        return {instance_id: s.position.last for instance_id, s in self._subscriptions.items()}

    @property
    def due(self) -> float | None:
        """When `subscribe_due` has something to do, by the monotonic clock."""
        return min((s.due for s in self._subscriptions.values() if s.due is not None), default=None)

    def add(self, instance_id: str, position: LogPosition) -> None:
        """Subscribe to an instance."""
        self._subscriptions[instance_id] = _Subscription(position)
        self._subscribe(instance_id)

    def remove(self, instance_id: str) -> None:
        """Unsubscribe from an instance."""
        if self._subscriptions.pop(instance_id, None) is not None:
            self._emit("unsubscribe_instance", {"instance_id": instance_id})
            self._changed()

    def add_task(self, task_id: str) -> None:
        """Subscribe to the text of a task."""
        self._tasks.add(task_id)
        self._emit("subscribe_task", {"task_id": task_id})

    def remove_task(self, task_id: str) -> None:
        """Unsubscribe from the text of a task."""
        self._tasks.discard(task_id)
        self._emit("unsubscribe_task", {"task_id": task_id})

    def subscribe_all(self) -> None:
        """Subscribe again to everything, on a new connection."""
        for task_id in self._tasks:
            self._emit("subscribe_task", {"task_id": task_id})
        for instance_id in self._subscriptions:
            self._subscribe(instance_id)

    def subscribe_due(self) -> None:
        """Subscribe again where a pause is over or an answer did not come."""
        now = time.monotonic()
        for instance_id, subscription in self._subscriptions.items():
            if subscription.due is None or subscription.due > now:
                continue
            subscription.due = None
            # A server of section 1 confirms with `subscribed` and never acknowledges.
            if not subscription.confirmed:
                self._subscribe(instance_id)

    def suspend(self) -> None:
        """Await no answer any more: the connection is lost."""
        for subscription in self._subscriptions.values():
            subscription.due = None
            subscription.request = 0
            subscription.position.ask()

    def receive(self, name: str, payload: Payload) -> None:
        """Apply a message about an instance: an event, `subscribed`, `head`, `skip` or `reset`."""
        subscription = self._subscriptions.get(payload["instance_id"])
        if subscription is None:
            return
        position = subscription.position
        if name == "subscribed":
            subscription.confirmed = True
            self._changed()
        elif name == "head":
            if position.receive_head(payload["epoch"], payload["seq"]):
                self._subscribe_later(subscription)
        elif name == "skip":
            self._apply(subscription, position.receive_skip(payload))
            self._changed()
        elif name == "reset":
            self._reset(payload["instance_id"], subscription, payload["reason"])
        else:
            self._apply(subscription, position.receive(payload))

    def receive_text(self, piece: Payload) -> None:
        """Add a piece of streamed text."""
        stream = self._texts.add(piece) if piece["task_id"] in self._tasks else None
        if stream is not None:
            notify(self._handlers.handle_step_output, piece, stream)

    def _subscribe(self, instance_id: str) -> None:
        subscription = self._subscriptions[instance_id]
        subscription.position.ask()
        subscription.confirmed = False
        subscription.due = None
        self._requests += 1
        request = self._requests
        since = subscription.position.since

        def receive_answer(answer: Payload | None = None, *_: object) -> None:
            self._post(lambda: self._answered(instance_id, request, answer or {}))

        payload = {"instance_id": instance_id} | ({"since": since} if since else {})
        if self._emit("subscribe_instance", payload, receive_answer):
            subscription.request = request
            subscription.due = time.monotonic() + self._times.answer_within
            self._changed()

    def _answered(self, instance_id: str, request: int, answer: Payload) -> None:
        subscription = self._subscriptions.get(instance_id)
        if subscription is None or subscription.request != request:
            return
        subscription.due = None
        error = answer.get("error") or (answer if answer.get("ok") is False else None)
        if error is not None:
            self._refused(instance_id, subscription, error)
        elif "mode" in answer:
            if answer["mode"] == "snapshot":
                notify(self._handlers.handle_snapshot, instance_id, answer["snapshot"])
            self._apply(subscription, subscription.position.receive_answer(answer))
            notify(self._handlers.handle_subscribed, instance_id, answer)
        self._changed()

    def _refused(self, instance_id: str, subscription: _Subscription, error: Payload) -> None:
        # An `error` event comes with every refusal; `handle_error` receives that one.
        if "retry_after_ms" in error or error.get("code") in RETRYABLE:
            # Not before the time that the server names, and not all clients at that moment.
            pause = error.get("retry_after_ms", 1000 * self._times.retry_at_most) / 1000
            self._subscribe_later(subscription, pause / EARLIEST)
        else:
            del self._subscriptions[instance_id]
            notify(self._handlers.handle_refused, instance_id, error)

    def _reset(self, instance_id: str, subscription: _Subscription, reason: str) -> None:
        if reason != "revoked":
            self._subscribe_later(subscription)
            return
        del self._subscriptions[instance_id]
        self._changed()
        notify(self._handlers.handle_revoked, instance_id, reason)

    def _subscribe_later(self, subscription: _Subscription, pause: float | None = None) -> None:
        """Subscribe again, at growing intervals as long as nothing new is applied in between."""
        pause = subscription.pause if pause is None else pause
        subscription.position.ask()
        subscription.pause = min(max(2 * subscription.pause, self._times.retry_after), self._times.retry_at_most)
        subscription.confirmed = False
        subscription.request = 0
        subscription.due = time.monotonic() + jitter(pause)
        self._changed()

    def _apply(self, subscription: _Subscription, decision: Decision) -> None:
        for event in decision.apply:
            if "seq" in event:
                subscription.pause = 0.0
            if event["type"] == "task_update":
                notify(self._handlers.handle_task_update, event)
                continue
            if event["data"]["status"] != "in_progress":
                self._texts.forget(event["data"]["step_id"], event.get("attempt"))
            notify(self._handlers.handle_execution_step, event)
        if decision.ask:
            self._subscribe_later(subscription)
        elif decision.apply:
            self._changed()
