"""A web process without a signing key: whom Socket.IO accepts, and what the others receive."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.harness.deployment import Deployment
from tests.harness.identity.signed_tokens import sign_token
from tests.harness.recorder import Recorder
from tests.identity.bench import KEY, PROVIDER
from tests.journey.authenticated_deployment import NewDeployment, Tenants, find_refusal
from tests.journey.event_writer import Author


@pytest.fixture
def keyless(new_deployment: NewDeployment, tmp_path: Path) -> Deployment:
    """A deployment as a distributed deployment is that leaves users to a provider."""
    env = {**PROVIDER, "auth": "required", "secret_key": ""}
    return new_deployment(env=env, database_url=f"sqlite:///{tmp_path / 'elsewhere.db'}")


@pytest.mark.long
def test_without_a_key_personal_tokens_work_and_signed_tokens_do_not(keyless: Deployment) -> None:
    web = keyless.start_web()
    author = Author(keyless)
    token = Tenants(keyless).add("vera", "viewer", author.instance_id)
    signed = [
        sign_token({"sub": "vera", "jti": "x"}, KEY, headers={"typ": kind, "kid": "any"})
        for kind in ("at+jwt", "fe+jwt")
    ]
    for transports in (("websocket",), ("polling",)):
        for shown in (None, *({"token": one} for one in signed)):
            assert find_refusal(web.url, shown, transports=transports)["data"] == {"code": "unauthenticated"}
    with Recorder(web.url, auth={"token": token}) as vera:
        vera.subscribe(author.instance_id)
        task_id = author.play()
        vera.wait_for_status(task_id, "COMPLETED")
        assert vera.events() == author.events
        # In place, too, it is no token; the one before stays good.
        assert vera.call("refresh_token", {"token": signed[0]})["error"]["code"] == "unauthenticated"
        assert vera.is_connected
    answer = httpx2.post(f"{web.url}/api/v1/auth/login", json={"name": "vera", "password": "correct horse battery"})
    assert (answer.status_code, answer.json()["code"]) == (503, "not_set_up")
    assert "Traceback" not in web.log_text()
