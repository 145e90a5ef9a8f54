"""Long-polling clients are accepted, disconnected, warned and refreshed like websocket clients."""

from __future__ import annotations

import pytest

from tests.harness.recorder import ResumingRecorder
from tests.journey.authenticated_deployment import (
    GUARDED,
    NewDeployment,
    Tenants,
    await_warning,
    find_refusal,
    show_resuming,
)
from tests.journey.event_writer import Author

pytestmark = pytest.mark.long
WAYS = [
    ("websocket", "eventlet"),
    ("polling", "eventlet"),
    ("polling", "gevent"),
    ("polling", "threading"),
]


@pytest.mark.parametrize(("transport", "mode"), WAYS)
def test_a_token_ends_and_is_refreshed_alike_on_every_transport(
    new_deployment: NewDeployment, transport: str, mode: str
) -> None:
    deployment = new_deployment(env={**GUARDED, "async_mode": mode, "token_warning": 3600, "jwt_leeway": 0})
    web = deployment.start_web()
    author = Author(deployment)
    tenants = Tenants(deployment)
    long, short = tenants.page(author.instance_id), [tenants.page(author.instance_id, lifetime=30) for _ in range(2)]
    vera = tenants.add("vera", "viewer", author.instance_id)
    with (
        show_resuming(vera, web.url, transport) as member,
        show_resuming(long, web.url, transport) as revoked,
        show_resuming(short[0], web.url, transport) as stays,
        show_resuming(short[1], web.url, transport) as goes,
    ):
        clients = (member, revoked, stays, goes)
        for client in clients:
            client.follow(author.instance_id)
        author.play()
        first = author.events
        for client in clients:
            assert client.wait_for_log(author.instance_id, author.head) == first
        for client in (stays, goes):
            await_warning(client)
        refresh(stays, tenants.page(author.instance_id))

        tenants.revoke(long)
        assert_ended(revoked, author.instance_id, "revoked")
        tenants.remove(author.instance_id, "vera")
        assert_lost(member, author.instance_id)
        assert_ended(goes, author.instance_id, "expired")

        author.play()
        assert stays.wait_for_log(author.instance_id, author.head) == author.events
        assert stays.payloads("reset") == []
        assert [client.events() for client in (member, revoked, goes)] == [first] * 3
        assert member.is_connected
        refusals = [find_refusal(web.url, {"token": token}, transports=(transport,)) for token in (long, short[1])]
        assert [refusal["data"]["code"] for refusal in refusals] == ["unauthenticated"] * 2
    assert "Traceback" not in web.log_text()


def refresh(client: ResumingRecorder, token: str) -> None:
    """The client replaces its token by one that expires later."""
    answer = client.call("refresh_token", {"token": token})
    assert (answer["ok"], answer["expires_at"] > client.payloads("token_expiring")[0]["expires_at"]) == (True, True)


def assert_lost(client: ResumingRecorder, instance_id: str) -> None:
    """A removed member receives the reason once, and the instance is unknown to it."""
    lost = {"instance_id": instance_id, "reason": "revoked"}
    client.wait_until(lambda: client.payloads("reset") == [lost], "the member's subscription is ended")
    answer = client.call("subscribe_instance", {"instance_id": instance_id})
    assert answer["error"]["code"] == "not_found"


def assert_ended(client: ResumingRecorder, instance_id: str, reason: str) -> None:
    """It receives the reason once, and is disconnected."""
    client.wait_until(lambda: not client.is_connected, f"it is {reason}")
    assert client.payloads("reset") == [{"instance_id": instance_id, "reason": reason}]
    assert [(e["code"], e["reason"]) for e in client.payloads("error")] == [("unauthenticated", reason)]
