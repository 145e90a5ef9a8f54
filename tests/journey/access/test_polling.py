"""Long-polling clients are accepted, disconnected, warned and refreshed like websocket clients."""

from __future__ import annotations

import pytest

from tests.harness.recorder import ResumingRecorder
from tests.journey.authenticated_deployment import GUARDED, NewDeployment, Tenants, find_refusal, show_resuming
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
            client.wait_until(lambda client=client: client.payloads("token_expiring"), "it is warned")  # type: ignore[misc]
        answer = stays.call("refresh_token", {"token": tenants.page(author.instance_id)})
        assert (answer["ok"], answer["expires_at"] > stays.payloads("token_expiring")[0]["expires_at"]) == (True, True)

        tenants.revoke(long)
        assert_ended(revoked, author.instance_id, "revoked")
        tenants.remove(author.instance_id, "vera")
        lost = {"instance_id": author.instance_id, "reason": "revoked"}
        member.wait_until(lambda: member.payloads("reset") == [lost], "what was theirs is cut off")
        unknown = member.call("subscribe_instance", {"instance_id": author.instance_id})
        assert unknown["error"]["code"] == "not_found"
        assert_ended(goes, author.instance_id, "expired")

        author.play()
        assert stays.wait_for_log(author.instance_id, author.head) == author.events
        assert stays.payloads("reset") == []
        for client in (member, revoked, goes):
            assert client.events() == first
        assert member.is_connected
        for token in (long, short[1]):
            refusal = find_refusal(web.url, {"token": token}, transports=(transport,))
            assert refusal["data"]["code"] == "unauthenticated"
    assert "Traceback" not in web.log_text()


def assert_ended(client: ResumingRecorder, instance_id: str, reason: str) -> None:
    """It receives the reason once, and is disconnected."""
    client.wait_until(lambda: not client.is_connected, f"it is {reason}")
    assert client.payloads("reset") == [{"instance_id": instance_id, "reason": reason}]
    assert [(e["code"], e["reason"]) for e in client.payloads("error")] == [("unauthenticated", reason)]
