"""The messages that a real worker publishes while a task runs: events, live progress and text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from swallowtail.app.core.ledger.publisher import instance_channel, task_channel
from tests.harness.deployment import Deployment
from tests.harness.waiting import wait_until


@pytest.mark.long
def test_a_run_publishes_events_live_progress_and_text(new_deployment: Callable[..., Deployment]) -> None:
    deployment = new_deployment()
    deployment.start_worker(concurrency=1)
    instance = deployment.new_instance()
    messages: list[tuple[str, dict[str, Any]]] = []
    with deployment.redis.client() as client, client.pubsub() as listener:  # type: ignore[no-untyped-call]
        listener.psubscribe(f"{deployment.runtime().settings.channel_prefix}:*")
        wait_until(lambda: listener.get_message(timeout=1), "the subscription stands")
        payload = {"steps": 2, "seconds": 0.6, "updates": 3, "text_bytes": 100}
        task_id = deployment.submit(instance, "probe", payload)

        def receive() -> bool:
            message = listener.get_message(timeout=1)
            if message:
                messages.append((message["channel"].decode(), json.loads(message["data"])))
            return "COMPLETED" in str(messages[-1:])

        wait_until(receive, "the end is published")
    events = [event for _, received in messages if received["kind"] == "events" for event in received["events"]]
    assert events == deployment.events(instance)
    check_live(messages, instance_channel(deployment.runtime().settings, instance), task_id)
    check_text(messages, task_channel(deployment.runtime().settings, task_id), events)


def check_live(messages: list[tuple[str, dict[str, Any]]], channel: str, task_id: str) -> None:
    """Live progress goes up, with revisions, and was never measured after an event that came before it."""
    live = [(place, received) for place, received in messages if received["kind"] == "live"]
    assert {place for place, _ in live} == {channel}
    assert [received["live"]["rev"] for _, received in live] == [1, 2, 3, 4, 5, 6]
    percents = [received["live"]["data"]["progress"] for _, received in live]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert {received["live"]["task_id"] for _, received in live} == {task_id}
    seen = 0
    for _, received in messages:
        if received["kind"] == "events":
            seen = received["events"][-1]["seq"]
        elif received["kind"] == "live":
            assert received["base_seq"] == seen


def check_text(messages: list[tuple[str, dict[str, Any]]], channel: str, events: list[dict[str, Any]]) -> None:
    """Each step's text is whole, in order, and starts at 0."""
    pieces = [(place, received["text"]) for place, received in messages if received["kind"] == "text"]
    assert {place for place, _ in pieces} == {channel}
    steps = dict.fromkeys(event["data"]["step_id"] for event in events if event["type"] == "execution_step")
    for step in steps:
        step_pieces = [piece for _, piece in pieces if piece["step_id"] == step]
        assert [(piece["rev"], piece["offset"], len(piece["text"])) for piece in step_pieces] == [
            (1, 0, 64),
            (2, 64, 36),
        ]
