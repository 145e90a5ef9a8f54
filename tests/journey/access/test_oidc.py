"""Sign-in at a real identity provider: who is accepted, and every way to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from sqlalchemy import select

from swallowtail.app.core.identity import users
from swallowtail.app.core.identity.users import Identity
from swallowtail.app.core.tables.audit import AuditEntry
from tests.harness.deployment import Deployment
from tests.harness.identity.oidc_provider import OidcProvider
from tests.harness.servers import RedisBinary
from tests.identity.bench import CHEAP

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def provider(redis_binary: RedisBinary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with OidcProvider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@pytest.fixture(scope="module")
def deployment(provider: OidcProvider, redis_binary: RedisBinary) -> Iterator[Deployment]:
    """A web process where one has to sign in, and one user whom the provider knows."""
    with Deployment(redis_binary=redis_binary, env={"auth": "required", **CHEAP, **provider.settings()}) as deployment:
        deployment.start_web()
        users.create_user(deployment.runtime(), "ada", identity=Identity(provider.issuer, "ada-1815"))
        yield deployment


@pytest.fixture
def browser(deployment: Deployment, provider: OidcProvider) -> Iterator[httpx2.Client]:
    """A browser, and a provider that behaves."""
    behave(provider, "well")
    with httpx2.Client(base_url=deployment.webs[0].url, timeout=60, headers=HTML) as client:
        yield client


def behave(provider: OidcProvider, how: str) -> None:
    httpx2.get(f"{provider.issuer}/misbehave", params={"how": how}, timeout=60)


def travel(browser: httpx2.Client, following: str = "/") -> httpx2.Response:
    """Go to the provider and back; the answer then."""
    sent = browser.get("/login/provider", params={"next": following})
    assert sent.status_code == 303, sent.text
    back = httpx2.get(sent.headers["Location"], timeout=60)
    return browser.get(back.headers["Location"])


def test_a_user_of_the_provider_is_signed_in(
    browser: httpx2.Client, provider: OidcProvider, deployment: Deployment
) -> None:
    assert 'id="provider"' in browser.get("/login").text
    answer = travel(browser, "/agents")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/agents")
    page = browser.get("/account")
    assert page.status_code == 200
    assert "ada" in page.text
    with deployment.runtime().db.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "session.open")).all()
    assert [(e.actor_name, e.entrance, e.address) for e in entries[-1:]] == [("ada", "ui", "127.0.0.1")]
    # What was asked for has PKCE, a state and a nonce, and no secret.
    asked = parse_qs(urlsplit(browser.get("/login/provider").headers["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge", "client_id", "redirect_uri", "scope", "response_type"} < set(asked)
    assert "client_secret" not in asked


@pytest.mark.parametrize(
    "how",
    [
        "wrong_state", "wrong_nonce", "without_nonce", "wrong_audience", "without_aud", "many_audiences",
        "wrong_issuer", "without_iss", "expired", "without_exp", "unsigned", "shared_secret", "foreign_key",
        "without_sub", "denied",
    ],
)  # fmt: skip
def test_a_wrong_answer_signs_no_user_in(browser: httpx2.Client, provider: OidcProvider, how: str) -> None:
    behave(provider, how)
    answer = travel(browser)
    assert answer.status_code == 401, answer.text
    assert 'role="alert"' in answer.text
    assert "swallowtail_session" not in browser.cookies
    assert browser.get("/account").status_code == 303


@pytest.mark.parametrize("how", ["other_issuer", "unsafe"])
def test_a_provider_that_describes_itself_wrongly_is_not_asked(
    browser: httpx2.Client, provider: OidcProvider, how: str
) -> None:
    behave(provider, how)
    assert browser.get("/login/provider").status_code == 503


def test_the_failure_of_a_provider_is_reported(browser: httpx2.Client, provider: OidcProvider) -> None:
    behave(provider, "broken")
    assert travel(browser).status_code == 503
    assert "swallowtail_session" not in browser.cookies


def test_an_answer_to_another_request_signs_no_user_in(
    browser: httpx2.Client, deployment: Deployment, provider: OidcProvider
) -> None:
    sent = browser.get("/login/provider")
    back = httpx2.get(sent.headers["Location"], timeout=60).headers["Location"]
    with httpx2.Client(base_url=deployment.webs[0].url, timeout=60, headers=HTML) as other:
        # Without a question of its own, and with another one than this.
        assert other.get(back).status_code == 401
        other.get("/login/provider")
        assert other.get(back).status_code == 401
        assert "swallowtail_session" not in other.cookies
    assert browser.get(back).status_code == 303
    # It was good once.
    assert browser.get(back).status_code == 401


def test_an_unknown_user_is_created_only_with_provisioning(
    deployment: Deployment, provider: OidcProvider, browser: httpx2.Client, redis_binary: RedisBinary
) -> None:
    env = {"auth": "required", **CHEAP, **provider.settings()}
    with Deployment(redis_binary=redis_binary, env=env) as elsewhere:
        web = elsewhere.start_web()
        with httpx2.Client(base_url=web.url, timeout=60, headers=HTML) as client:
            assert travel(client).status_code == 401
        welcoming = elsewhere.start_web(env={"oidc_provision": "true"})
        with httpx2.Client(base_url=welcoming.url, timeout=60, headers=HTML) as client:
            assert travel(client).status_code == 303
            assert client.get("/account").status_code == 200
