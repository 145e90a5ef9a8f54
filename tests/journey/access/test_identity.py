"""Sign-in at a real web process, in every mode; no secret is in a log or the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from swallowtail.scripts.cli.remote.profiles import load_profiles
from tests.harness.deployment import Deployment
from tests.harness.waiting import PATIENCE

NewDeployment = Callable[..., Deployment]

PASSWORD = "correct horse battery staple"
WRONG = "incorrect zebra dynamo clip"


@pytest.mark.long
@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_a_sign_in_leaves_no_secret_in_logs_and_tables(
    new_deployment: NewDeployment, mode: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"auth": "required", "async_mode": mode, "token_file": tmp_path / "token"}
    deployment = new_deployment(env={**settings, "log_level": "DEBUG", "log_format": "json"})
    web = deployment.start_web()
    created = deployment.cli("users", "create", "boss", "--superuser", stdin=PASSWORD + "\n")
    signed_in = deployment.cli("login", "--user", "boss", stdin=PASSWORD + "\n")
    script = deployment.cli("tokens", "create", "ci").stdout.strip()
    stored_token = load_profiles(str(tmp_path / "token")).by_name[web.url.removeprefix("http://")].token or ""
    secrets = {PASSWORD, WRONG, script, stored_token}

    with httpx2.Client(base_url=f"{web.url}/api/v1", timeout=60) as client:
        assert client.get("/instances").status_code == 401
        assert client.post("/auth/login", json={"name": "boss", "password": WRONG}).status_code == 401
        tokens = client.post("/auth/login", json={"name": "boss", "password": PASSWORD}).json()
        secrets |= {tokens["access_token"], tokens["session_token"]}
        for token in (tokens["access_token"], script, stored_token):
            who = client.get("/auth/whoami", headers={"Authorization": f"Bearer {token}"})
            assert who.json()["name"] == "boss"
        following = client.post("/auth/refresh", json={"session_token": tokens["session_token"]}).json()
        secrets |= {following["access_token"], following["session_token"]}
        broken = {"Authorization": f"Bearer {following['access_token']}"}
        assert client.post("/users", content=b"{", headers={**broken, "Content-Type": "application/json"}).is_error
        assert client.post("/auth/logout", headers=broken).status_code == 204
        assert client.get("/auth/whoami", headers=broken).status_code == 401
    assert deployment.cli("logout").returncode == 0
    web.terminate()

    received = created.stdout + created.stderr + signed_in.stdout + signed_in.stderr
    logs = {
        path.name: path.read_bytes() for path in deployment.root.rglob("*") if path.suffix in (".log", ".db", ".db-wal")
    }
    assert any(name.endswith(".log") for name in logs)
    assert any(name.endswith(".db") for name in logs)
    for secret in secrets:
        # Only the signature of an access token is secret.
        part = secret.rpartition(".")[2]
        assert part not in received
        assert [name for name, content in logs.items() if part.encode() in content] == []


@pytest.mark.long
@pytest.mark.parametrize("mode", ["eventlet", "gevent"])
def test_others_are_answered_while_passwords_are_checked(new_deployment: NewDeployment, mode: str) -> None:
    # Each check takes seconds of a processor; a process of greenlets that did it itself would not answer.
    deployment = new_deployment(env={"auth": "required", "async_mode": mode, "password_rounds": 30, "limits": "off"})
    web = deployment.start_web()
    answered: list[int] = []

    def sign_in() -> None:
        body = {"name": "nobody", "password": WRONG}
        answered.append(httpx2.post(f"{web.url}/api/v1/auth/login", json=body, timeout=PATIENCE * 2).status_code)

    caller = threading.Thread(target=sign_in)
    caller.start()
    between = 0
    deadline = time.monotonic() + PATIENCE * 2
    while caller.is_alive() and time.monotonic() < deadline:
        assert web.status("/healthz") == 200
        between += caller.is_alive()
    caller.join(PATIENCE)
    assert answered == [401]
    assert between >= 2
