"""A server with an identity provider but without a signing key: requests that need the key get 503 with its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from swallowtail.app.core.events import now
from swallowtail.app.core.identity import api_tokens, users
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.app.core.security.roles import Role
from swallowtail.app.core.services.instances import create_instance
from swallowtail.app.core.tables.auth import AccessToken, Membership
from tests.harness.closed_objects import closing_all
from tests.harness.identity.signed_tokens import sign_token
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD, PROVIDER
from tests.web.app_fixture import Json, WebApp, expect_json, expect_problem
from tests.web.browser_client import csrf_token_of
from tests.web.pages.test_sign_in import HTML

OIDC: dict[str, Any] = {"oidc_issuer": PROVIDER["jwt_issuer"], "oidc_client_id": "app", "oidc_client_secret": "s" * 40}


@pytest.fixture
def new_web_app(tmp_path: Path) -> Iterator[Callable[..., WebApp]]:
    """Open applications on a database URL, as a distributed deployment has."""

    def make(**more: Any) -> WebApp:
        url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
        options = {"var_dir": tmp_path, "database_url": url, "async_mode": "threading", "auth": "required", **CHEAP}
        return WebApp(make_settings(**{**options, **PROVIDER, "secret_key": "", **more}))

    yield from closing_all(make)


@pytest.fixture
def web_app(new_web_app: Callable[..., WebApp]) -> WebApp:
    """An application with the user `ann`, who owns the instance `acme`."""
    web_app = new_web_app()
    ann = users.create_user(web_app.rt, "ann", PASSWORD)
    create_instance(web_app.rt, "Acme", "acme")
    with web_app.rt.db.write() as session:
        row = Membership(instance_id="acme", user_id=ann["id"], role=Role.OWNER.value, created_at=now())
        session.add(row)
    return web_app


def personal(web_app: WebApp) -> dict[str, str]:
    """Return the header with a personal token of `ann`, which needs no key."""
    view = next(one for one in users.list_users(web_app.rt, limit=10)[0] if one["name"] == "ann")
    actor = Actor("user", view["id"], "ann", user_id=view["id"])
    created = api_tokens.issue_personal(web_app.rt.by(Caller(actor, "rest")), NewToken(name="script"))
    return {"Authorization": f"Bearer {created['secret']}"}


def tokens(web_app: WebApp) -> int:
    with web_app.rt.db.read() as session:
        return session.scalar(select(func.count()).select_from(AccessToken)) or 0


def not_set_up(body: Json) -> None:
    assert body["detail"].startswith("SWALLOWTAIL_SECRET_KEY")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/auth/login", {"name": "ann", "password": PASSWORD}),
        ("/auth/login", {"name": "nobody", "password": PASSWORD}),
        ("/auth/refresh", {"session_token": "sws_0b7a2c9e53f44c0e9d5e2f1f6f0a6a11_secret"}),
    ],
)
def test_sign_in_by_rest_names_the_missing_key_and_no_retry(web_app: WebApp, path: str, body: Json) -> None:
    response = web_app.post(path, body)
    not_set_up(expect_problem(response, 503, "not_set_up"))
    assert "Retry-After" not in response.headers
    assert tokens(web_app) == 0


def test_an_api_token_is_not_created_and_everything_else_works(web_app: WebApp) -> None:
    headers = personal(web_app)
    before = tokens(web_app)
    not_set_up(
        expect_problem(
            web_app.post("/instances/acme/front-end-tokens", {"name": "page"}, headers=headers), 503, "not_set_up"
        )
    )
    assert tokens(web_app) == before
    assert expect_json(web_app.get("/instances/acme/front-end-tokens", headers=headers))["items"] == []
    assert expect_json(
        web_app.post("/instances/acme/tasks", {"kind": "brief", "input": {"text": "x"}}, headers=headers), 201
    )
    assert expect_json(web_app.get("/auth/whoami", headers=headers))["name"] == "ann"


def test_tokens_signed_with_a_session_key_are_refused(web_app: WebApp) -> None:
    forged = sign_token({"sub": "ann", "jti": "x"}, KEY, headers={"typ": "at+jwt", "kid": "any"})
    expect_problem(web_app.get("/auth/whoami", headers={"Authorization": f"Bearer {forged}"}), 401, "unauthenticated")


def test_the_page_to_sign_in_shows_what_is_missing_and_keeps_no_cookie(web_app: WebApp) -> None:
    page = web_app.client.get("/login", headers=HTML)
    assert page.status_code == 200
    form = {"name": "ann", "password": PASSWORD, "csrf": csrf_token_of(page), "next": "/"}
    response = web_app.client.post("/login", data=form, headers=HTML)
    assert response.status_code == 503
    assert "SWALLOWTAIL_SECRET_KEY" in response.text
    assert PASSWORD not in response.text
    assert web_app.client.get_cookie("swallowtail_session") is None
    assert tokens(web_app) == 0


def test_without_a_key_no_browser_is_redirected_to_the_provider(new_web_app: Callable[..., WebApp]) -> None:
    web_app = new_web_app(**OIDC)
    for path in ("/login/provider", "/login/provider/back?code=x&state=y"):
        response = web_app.client.get(path, headers=HTML)
        assert response.status_code == 503, path
        assert "SWALLOWTAIL_SECRET_KEY" in response.text
        assert "swallowtail_attempt=ey" not in str(response.headers)
