"""An open server accepts direct local requests only; other clients learn which settings to change."""

from __future__ import annotations

import pytest

from tests.web.app_fixture import SUBMISSION, Open, WebApp, expect_problem

TRACES = {
    "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "localhost", "X-Forwarded": "a",
    "X-Original-For": "192.0.2.1", "X-Scheme": "https", "CF-Ray": "1", "X-Envoy-External-Address": "192.0.2.1",
    "Fly-Client-IP": "192.0.2.1", "X-Azure-ClientIP": "192.0.2.1", "Tailscale-User-Login": "a", "X-Amzn-Trace-Id": "a",
    "Front-End-Https": "on", "X-Forwarded-Anything": "",
    "Forwarded": "for=127.0.0.1", "Via": "1.1 proxy", "X-Real-IP": "127.0.0.1",
    "CF-Connecting-IP": "192.0.2.1", "True-Client-IP": "192.0.2.1", "x-forwarded-for": "",
}  # fmt: skip
PATHS = ["/", "/login", "/healthz", "/metrics", "/api/v1/instances", "/static/api_docs.css", "/socket.io/?EIO=4"]
PATHS += ["/socket.io/?EIO=4&transport=polling", "/docs/websocket_client_example.html"]


@pytest.mark.parametrize("name", TRACES)
def test_a_request_through_a_proxy_gets_421_with_the_remedy(web_app: WebApp, name: str) -> None:
    for path in PATHS:
        problem = expect_problem(web_app.fetch(path, headers={name: TRACES[name]}), 421, "not_from_here")
        assert name.lower() in problem["detail"].lower()
        for setting in ("SWALLOWTAIL_AUTH", "SWALLOWTAIL_TRUSTED_PROXIES", "SWALLOWTAIL_ALLOWED_HOSTS"):
            assert setting in problem["detail"]


@pytest.mark.parametrize("peer", ["192.0.2.7", "10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", ""])
def test_a_request_from_another_machine_gets_421(web_app: WebApp, peer: str) -> None:
    for path in PATHS:
        expect_problem(web_app.fetch(path, environ_base={"REMOTE_ADDR": peer}), 421, "not_from_here")
    refused = web_app.post("/instances/acme/tasks", SUBMISSION, environ_base={"REMOTE_ADDR": peer})
    expect_problem(refused, 421, "not_from_here")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_served_by_all_its_addresses(web_app: WebApp, peer: str) -> None:
    assert web_app.fetch("/healthz", environ_base={"REMOTE_ADDR": peer}).status_code == 200


def test_an_open_server_with_trusted_proxies_accepts_local_requests_only(open_web_app: Open) -> None:
    web_app = open_web_app(auth="open", trusted_proxies="127.0.0.1", allowed_hosts="app.example.org")
    assert web_app.fetch("/healthz").status_code == 200
    expect_problem(web_app.fetch("/healthz", headers={"X-Forwarded-For": "127.0.0.1"}), 421, "not_from_here")


def test_with_required_sign_in_requests_may_come_from_anywhere(open_web_app: Open) -> None:
    web_app = open_web_app(trusted_proxies="127.0.0.1")
    assert web_app.fetch("/healthz", headers={"X-Forwarded-For": "192.0.2.1", "Via": "1.1 proxy"}).status_code == 200
    expect_problem(web_app.get("/instances", headers={"X-Forwarded-For": "192.0.2.1"}), 401, "unauthenticated")
    assert web_app.fetch("/healthz", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code == 200
