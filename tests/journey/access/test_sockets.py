"""Whom Socket.IO accepts, and who may subscribe to what, in every mode of serving."""

from __future__ import annotations

import pytest

from tests.harness.received_events import Wire
from tests.harness.recorder import Recorder
from tests.journey.authenticated_deployment import GUARDED, NewDeployment, Tenants, find_refusal, show_resuming
from tests.journey.event_writer import Author

every_mode = pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading", "stock"])


def _env(mode: str) -> dict[str, object]:
    own = {"engine": "stock"} if mode == "stock" else {"async_mode": mode}
    return {**GUARDED, **own}


@every_mode
def test_clients_authenticate_and_subscribe_to_their_instances(new_deployment: NewDeployment, mode: str) -> None:
    deployment = new_deployment(env=_env(mode))
    web = deployment.start_web()
    author, other = Author(deployment), Author(deployment)
    tenants = Tenants(deployment)
    viewer = tenants.add("vera", "viewer", author.instance_id)
    page = tenants.page(other.instance_id)
    for transports in (("websocket",), ("polling",)):
        refusal = find_refusal(web.url, transports=transports)
        assert refusal["data"] == {"code": "unauthenticated"}
        assert "token" in refusal["message"]
        assert find_refusal(web.url, {"token": "nonsense"}, transports=transports)["data"]["code"] == "unauthenticated"
        assert find_refusal(web.url, {"token": 5}, transports=transports)["data"]["code"] == "invalid_input"
        address = f"{web.url}/?token={viewer}"
        assert find_refusal(address, transports=transports)["data"]["field"] == "auth.token"
        assert find_refusal(address, {"token": viewer}, transports=transports)["data"]["code"] == "invalid_input"
    with show_resuming(viewer, web.url) as vera, show_resuming(page, web.url) as bearer:
        assert vera.follow(author.instance_id)["ok"]
        assert bearer.follow(other.instance_id)["ok"]
        unknown = vera.call("subscribe_instance", {"instance_id": "nowhere"})
        for client, instance_id in ((vera, other.instance_id), (bearer, author.instance_id)):
            # Once more, since the answer may be cached.
            for _ in range(2):
                assert client.call("subscribe_instance", {"instance_id": instance_id}) == unknown
        task_id, other_task = author.play(), other.play()
        no_task = vera.call("subscribe_task", {"task_id": "00000000-0000-4000-8000-000000000000"})
        assert vera.call("subscribe_task", {"task_id": other_task}) == no_task
        assert vera.call("subscribe_task", {"task_id": task_id})["ok"]
        assert vera.wait_for_log(author.instance_id, author.head) == author.events
        assert bearer.wait_for_log(other.instance_id, other.head) == other.events
        for name in ("enter_room", "join", "join_room"):
            assert vera.call(name, {"room": f"instance_{other.instance_id}"})["error"]["code"] == "invalid_input"
    assert "Traceback" not in web.log_text()


def await_reset(client: Recorder, reset: Wire) -> None:
    client.wait_until(lambda: reset in client.payloads("reset"), "what was theirs is cut off")


@pytest.mark.long
@every_mode
def test_revoked_access_ends_in_every_process(new_deployment: NewDeployment, mode: str) -> None:
    deployment = new_deployment(env=_env(mode))
    webs = [deployment.start_web(), deployment.start_web()]
    author, second = Author(deployment), Author(deployment)
    tenants = Tenants(deployment)
    token = tenants.add("vera", "viewer", author.instance_id)
    tenants.add("otto", "viewer", second.instance_id)
    page = tenants.page(author.instance_id)
    with (
        show_resuming(token, webs[0].url) as here,
        show_resuming(token, webs[1].url) as there,
        show_resuming(page, webs[1].url) as bearer,
    ):
        for client in (here, there, bearer):
            client.follow(author.instance_id)
        lost = {"instance_id": author.instance_id, "reason": "revoked"}
        tenants.remove(author.instance_id, "vera")
        for client in (here, there):
            await_reset(client, lost)
            answer = client.call("subscribe_instance", {"instance_id": author.instance_id})
            assert answer["error"]["code"] == "not_found"
        assert bearer.payloads("reset") == []
        author.play()
        bearer.wait_for_log(author.instance_id, author.head)
        assert here.events() == there.events() == []
        # Without Redis, only the database shows it.
        deployment.redis.kill()
        tenants.revoke(page)
        bearer.wait_until(lambda: not bearer.is_connected, "the token is cut off")
        assert bearer.payloads("reset") == [lost]
        assert [(e["code"], e["reason"]) for e in bearer.payloads("error")] == [("unauthenticated", "revoked")]
        assert here.is_connected
    assert find_refusal(webs[0].url, {"token": page})["data"]["code"] == "unauthenticated"
    for web in webs:
        assert "Traceback" not in web.log_text()


def test_without_required_sign_in_old_clients_are_accepted(new_deployment: NewDeployment) -> None:
    deployment = new_deployment()
    web = deployment.start_web()
    author = Author(deployment)
    with Recorder(web.url) as client:
        client.subscribe(author.instance_id)
    # It may have shown anything all along; a token that was issued here and is good no longer is another matter.
    with Recorder(web.url, auth={"token": "nonsense"}) as client:
        client.subscribe(author.instance_id)
    assert find_refusal(web.url, {"token": "swt_nobody_nothing"})["data"]["code"] == "unauthenticated"
