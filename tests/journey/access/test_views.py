"""Clients with a restricted view (one task, some fields), and clients whose token ends or is renewed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.recorder import ResumingRecorder
from tests.journey.authenticated_deployment import (
    GUARDED,
    NewDeployment,
    Tenants,
    await_warning,
    blinded,
    find_refusal,
    show_resuming,
)
from tests.journey.event_writer import Author

FROM_NOTHING = {"epoch": "", "seq": 0}


@pytest.mark.parametrize("mode", ["eventlet", "threading"])
def test_a_token_for_one_task_and_some_fields_shows_these_and_skips_the_rest(
    new_deployment: NewDeployment, mode: str
) -> None:
    deployment = new_deployment(env={**GUARDED, "async_mode": mode})
    web = deployment.start_web()
    author = Author(deployment)
    tenants = Tenants(deployment)
    before = author.play()
    task_id = author.submit()
    page = tenants.page(author.instance_id, task_id=task_id, fields=["message"])
    with show_resuming(page, web.url) as one, show_resuming(page, web.url) as two:
        answer = one.follow(author.instance_id, epoch="", seq=0)
        (shown,) = answer["snapshot"]["tasks"]
        # The sweep may have sent it meanwhile.
        assert shown["id"] == task_id
        assert "input" not in shown
        assert shown["message"] in ("Submitted", "Queued")
        begun = {one: answer["head"], two: two.follow(author.instance_id)["head"]}
        claim = author.claim(task_id)
        author.step(claim, "first")
        other = author.play()
        author.step(claim, "second")
        head = author.head
        for client in (one, two):
            await_place(client, author.instance_id, head)
        for client, start in begun.items():
            own = [blinded(e, "message") for e in author.events if e["task_id"] == task_id and e["seq"] > start]
            assert client.log(author.instance_id) == own
        assert one.payloads("skip") != []
        # Replay from the start is the same view.
        two.drop_and_resume()
        two.wait_until(lambda: stands_at(two, author.instance_id, head), "it has everything")
        assert_hidden(one, task_id, (before, other))
        received = str(one.messages) + str(two.messages)
        assert before not in received
        assert other not in received
    assert "Traceback" not in web.log_text()


def assert_hidden(client: ResumingRecorder, task_id: str, hidden: tuple[str, ...]) -> None:
    """The client may not subscribe its own task, and tasks of others are as unknown as those that do not exist."""
    refused = client.call("subscribe_task", {"task_id": task_id})
    assert refused["error"]["code"] == "forbidden"
    unknown = client.call("subscribe_task", {"task_id": "00000000-0000-4000-8000-000000000000"})
    for other in hidden:
        assert client.call("subscribe_task", {"task_id": other}) == unknown


def test_a_replay_is_masked_like_live_events(new_deployment: NewDeployment) -> None:
    deployment = new_deployment(env=GUARDED)
    web = deployment.start_web()
    author = Author(deployment)
    author.play()
    task_id = author.play()
    author.play()
    page = Tenants(deployment).page(author.instance_id, task_id=task_id, fields=["output"])
    with show_resuming(page, web.url) as client:
        epoch = author.events[0]["epoch"]
        assert client.follow(author.instance_id, epoch=epoch, seq=0)["mode"] == "replay"
        client.wait_until(lambda: stands_at(client, author.instance_id, author.head), "it has everything")
        own = [blinded(event, "output") for event in author.events if event["task_id"] == task_id]
        assert client.log(author.instance_id) == own
        first, last = own[0]["seq"], own[-1]["seq"]
        where = {"instance_id": author.instance_id, "epoch": epoch}
        assert client.payloads("skip") == [
            {**where, "after": 0, "seq": first - 1},
            {**where, "after": last, "seq": author.head},
        ]


@pytest.mark.long
@pytest.mark.parametrize("mode", ["eventlet", "threading"])
def test_a_token_that_expires_is_warned_of_and_can_be_refreshed_in_place(
    new_deployment: NewDeployment, mode: str
) -> None:
    deployment = new_deployment(env={**GUARDED, "async_mode": mode, "token_warning": 3600, "jwt_leeway": 0})
    web = deployment.start_web()
    author = Author(deployment)
    tenants = Tenants(deployment)
    short = {"lifetime": 12}
    with (
        show_resuming(tenants.page(author.instance_id, **short), web.url) as stays,
        show_resuming(tenants.page(author.instance_id, **short), web.url) as goes,
    ):
        for client in (stays, goes):
            client.follow(author.instance_id)
            await_warning(client)
        stranger = tenants.page(author.instance_id, task_id=author.submit())
        for wrong, code in ((stranger, "forbidden"), ("nonsense", "unauthenticated"), (7, "invalid_input")):
            assert stays.call("refresh_token", {"token": wrong})["error"]["code"] == code
        answer = stays.call("refresh_token", {"token": tenants.page(author.instance_id)})
        assert (answer["ok"], answer["expires_at"] > stays.payloads("token_expiring")[0]["expires_at"]) == (True, True)
        goes.wait_until(lambda: not goes.is_connected, "its time is over")
        assert goes.payloads("reset") == [{"instance_id": author.instance_id, "reason": "expired"}]
        assert [(e["code"], e["reason"]) for e in goes.payloads("error")] == [("unauthenticated", "expired")]
        author.play()
        assert stays.wait_for_log(author.instance_id, author.head)[-1] == author.events[-1]
        assert stays.payloads("reset") == []
        refused: Any = find_refusal(web.url, goes.auth)
        assert refused["data"]["code"] == "unauthenticated"


def await_place(client: ResumingRecorder, instance_id: str, seq: int) -> None:
    client.wait_until(lambda: stands_at(client, instance_id, seq), "it has everything")


def stands_at(client: ResumingRecorder, instance_id: str, seq: int) -> bool:
    return client.positions[instance_id].seq == seq
