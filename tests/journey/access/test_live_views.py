"""Live progress, text, heads and resets for clients with a restricted view, on real processes."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.app.core.ledger.claims import Claim
from tests.harness.received_events import Wire
from tests.harness.recorder import ResumingRecorder
from tests.journey.authenticated_deployment import GUARDED, NewDeployment, Tenants, blinded, show_resuming
from tests.journey.event_writer import Author

pytestmark = pytest.mark.long


class Scene:
    """A web process; two tasks that run; a page of one of them, and a viewer of everything."""

    def __init__(self, new_deployment: NewDeployment, mode: str, fields: list[str]) -> None:
        # No heads of their own accord, which come when they like.
        self.deployment = new_deployment(env={**GUARDED, "async_mode": mode, "head_interval": 600})
        self.web = self.deployment.start_web()
        self.author = Author(self.deployment)
        self.instance_id = self.author.instance_id
        self.own, self.other = (self.author.claim(self.author.submit()) for _ in range(2))
        tenants = Tenants(self.deployment)
        token = tenants.page(self.instance_id, task_id=self.own.task_id, fields=fields)
        self.page = show_resuming(token, self.web.url)
        self.viewer = show_resuming(tenants.add("vera", "viewer", self.instance_id), self.web.url)
        self.revs = dict.fromkeys((self.own.task_id, self.other.task_id), 0)

    def publish(self, claim: Claim, progress: float) -> Wire:
        """Publish progress, and wait until the viewer receives it. Returns the messages of the viewer."""
        self.revs[claim.task_id] += 1
        rev = self.revs[claim.task_id]
        self.author.publish_live(claim, progress, rev=rev, base_seq=self.author.head)

        def messages() -> list[Wire]:
            return [wire for wire in live(self.viewer) if (wire["task_id"], wire["rev"]) == (claim.task_id, rev)]

        self.viewer.wait_until(messages, f"progress {progress} is received")
        (matches,) = messages()
        return matches

    def await_subscription(self) -> None:
        """Wait until the process is subscribed: publish progress of the other task until it arrives."""

        def messages() -> bool:
            self.revs[self.other.task_id] += 1
            self.author.publish_live(self.other, 0.0, rev=self.revs[self.other.task_id], base_seq=self.author.head)
            return bool(live(self.viewer))

        self.viewer.wait_until(messages, "live state is received")

    def await_place(self) -> None:
        for client in (self.page, self.viewer):
            client.wait_until(
                lambda client=client: client.positions[self.instance_id].seq == self.author.head,  # type: ignore[misc]
                "it has everything",
            )


def live(client: ResumingRecorder) -> list[Wire]:
    """The live states that a client was sent."""
    return [wire for wire in client.payloads("task_update") if "rev" in wire]


def names(client: ResumingRecorder) -> set[str]:
    """The names of all that a client was sent."""
    return {name for name, _ in client.messages}


@pytest.mark.parametrize("mode", ["eventlet", "threading"])
def test_a_page_of_one_task_receives_its_live_progress_with_its_fields_and_nothing_else(
    new_deployment: NewDeployment, mode: str
) -> None:
    s = Scene(new_deployment, mode, ["output"])
    with s.page as page, s.viewer as viewer:
        start = page.follow(s.instance_id)["head"]
        viewer.follow(s.instance_id)
        s.await_subscription()
        expected: list[Wire] = []
        for percent in (10.0, 20.0):
            s.publish(s.other, percent)
            expected.append(s.publish(s.own, percent))
        s.author.step(s.own, "first", progress=25.0)
        s.author.step(s.other, "first")
        s.await_place()
        expected.append(s.publish(s.own, 30.0))
        s.publish(s.other, 30.0)
        # By the head check: no message announces it.
        s.deployment.redis.kill()
        s.author.step(s.other, "second")
        s.author.step(s.own, "second")
        s.await_place()

        assert live(page) == [blinded(wire, "output") for wire in expected]
        assert {wire["data"]["message"] for wire in expected} == {"working"}
        own = [blinded(e, "output") for e in s.author.events if e["task_id"] == s.own.task_id and e["seq"] > start]
        assert page.log(s.instance_id) == own
        assert names(page) == {"connected", "subscribed", "task_update", "execution_step", "skip"}
        assert all(set(p) == {"instance_id", "epoch", "after", "seq"} for p in page.payloads("skip"))
        assert s.other.task_id not in str(page.messages)

        page.drop()
        page.connect()
        answer = page.follow(s.instance_id, epoch="", seq=0)
        assert_shows_the_task_alone(answer, s)
        assert s.other.task_id not in str(page.messages) + str(page.positions[s.instance_id].answers)
    assert "Traceback" not in s.web.log_text()


def assert_shows_the_task_alone(answer: Wire, s: Scene) -> None:
    """A snapshot holds the one task, without hidden fields."""
    assert answer["mode"] == "snapshot"
    snapshot: dict[str, Any] = answer["snapshot"]
    assert set(snapshot) == {"instance_id", "epoch", "head", "min_seq", "tasks", "complete"}
    (task,) = snapshot["tasks"]
    assert (task["id"], task["progress"], task["last_seq"] > 0) == (s.own.task_id, 25.0, True)
    withheld = ("title", "message", "error", "submitted_by")
    assert [task[name] for name in withheld] == [None] * len(withheld)
    assert [(step["key"], step["agent"], step["action"]) for step in task["steps"]] == [(None, None, None)] * 2
    # Snapshots hold no outputs; the events do, and the REST API of a step.
    assert {"input", "result"}.isdisjoint(task)
    assert not any("output" in step for step in task["steps"])


def test_text_is_shown_for_the_task_of_a_view_and_with_the_field_output(new_deployment: NewDeployment) -> None:
    s = Scene(new_deployment, "eventlet", ["output"])
    blind = show_resuming(
        Tenants(s.deployment).page(s.instance_id, task_id=s.own.task_id, fields=["message"]), s.web.url
    )
    own, other = s.own.task_id, s.other.task_id
    with s.page as page, s.viewer as viewer, blind as nothing:
        for client in (page, viewer):
            assert client.call("subscribe_task", {"task_id": own})["ok"]
        assert viewer.call("subscribe_task", {"task_id": other})["ok"]
        assert nothing.call("subscribe_task", {"task_id": own})["error"]["code"] == "forbidden"
        unknown = page.call("subscribe_task", {"task_id": "00000000-0000-4000-8000-000000000000"})
        assert page.call("subscribe_task", {"task_id": other}) == unknown
        for rev, (task_id, text) in enumerate([(own, "mine"), (other, "theirs"), (own, "and more")], start=1):
            publish_until_received(s, viewer, task_id, text, rev)

        def wanted() -> list[Wire]:
            return [p for p in viewer.payloads("step_output") if p["task_id"] == own]

        page.wait_until(lambda: page.payloads("step_output") == wanted(), "the text of its task is there")
        assert {p["text"] for p in wanted()} == {"mine", "and more"}
        assert names(page) == {"connected", "step_output", "error"}
        assert names(nothing) == {"connected", "error"}
        assert "theirs" not in str(page.messages)


def publish_until_received(s: Scene, viewer: ResumingRecorder, task_id: str, text: str, rev: int) -> None:
    """Publish a piece of text until the viewer receives it: the process may not be subscribed yet."""

    def messages() -> bool:
        if any(p["text"] == text for p in viewer.payloads("step_output")):
            return True
        s.author.publish_text(task_id, "draft", text, offset=0, rev=rev)
        return False

    viewer.wait_until(messages, f"{text!r} is received")
