"""Responses of an identity provider are read within limits, and one unusable key affects no other key."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from swallowtail.app.core.errors import Unauthenticated, Unavailable
from swallowtail.app.core.identity.oidc import SignInAttempt, SignInProvider
from tests.harness.settings import make_settings
from tests.identity.bench import Provider
from tests.identity.conftest import NewBench
from tests.identity.test_provider_tokens import believing

ODD: list[dict[str, Any]] = [
    {"alg": "none"},
    {"alg": 1},
    {"key_ops": 1},
    {"key_ops": {"verify": 1}},
    {"n": 1},
    {"n": "A" * 20_000},
    {"e": "_" * 20_000},
    {"d": 1},
    {"crv": {}, "kty": "EC"},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_a_key_that_cannot_be_used_is_left_out_alone(new_bench: NewBench, odd: dict[str, Any]) -> None:
    provider = Provider()
    bench = believing(new_bench, provider)
    provider.keys.insert(0, {**provider.keys[0], "kid": "odd", **odd})
    assert bench.tokens.read(provider.sign()).name == "ada"
    with pytest.raises((Unauthenticated, Unavailable)):
        bench.tokens.read(provider.sign(kid="odd", key=Provider().rsa))
    provider.keys = [provider.keys[0]]
    provider.time += 1000
    assert bench.tokens.read(provider.sign()).name == "ada", "what was read last is good for a while"


def test_keys_that_unpack_to_more_are_not_unpacked(new_bench: NewBench) -> None:
    provider = Provider()
    bench = believing(new_bench, provider, jwks_max_bytes=50_000)
    bomb = gzip.compress(json.dumps({"keys": provider.keys}).encode() + b" " * 40_000_000)
    assert len(bomb) < 50_000
    provider.answer = httpx2.Response(200, content=bomb, headers={"Content-Encoding": "gzip"})
    with pytest.raises(Unavailable):
        bench.tokens.read(provider.sign())


@pytest.mark.parametrize("subject", ["", "\ud800", "a\0b", "x" * 301])
def test_an_invalid_subject_creates_no_user(new_bench: NewBench, subject: str) -> None:
    provider = Provider()
    bench = believing(new_bench, provider, jwt_provision=True)
    with pytest.raises(Unauthenticated):
        bench.tokens.read(provider.sign(sub=subject))


@pytest.fixture
def answers() -> Iterator[tuple[str, dict[str, Any]]]:
    """Serve a sign-in provider that responds as a dictionary says; return its address and the dictionary."""
    reply: dict[str, Any] = {"body": b"", "headers": {}, "token": [], "token_headers": {}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            for name, value in reply["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(reply["body"])
            except ConnectionError:
                # The client has read as much as it wants.
                return

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            for name, value in reply["token_headers"].items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for part in reply["token"]:
                    self.wfile.write(part)
            except ConnectionError:
                # The client has read as much as it wants.
                return

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", reply
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["large", "packed", "deep", "a list", "no text"])
def test_a_provider_with_oversized_or_invalid_responses_is_unavailable(
    answers: tuple[str, dict[str, Any]], kind: str
) -> None:
    issuer, reply = answers
    named = dict.fromkeys(("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"), issuer)
    good = json.dumps(named).encode()
    bodies = {"deep": b"[" * 100_000, "a list": b"[]", "no text": b"\xff", "large": good + b" " * 1_000_000}
    reply["body"] = bodies.get(kind) or gzip.compress(good + b" " * 1_000_000)
    reply["headers"] = {"Content-Encoding": "gzip"} if kind == "packed" else {}
    provider = SignInProvider(make_settings(oidc_client_id="us", oidc_issuer=issuer))
    with pytest.raises(Unavailable):
        provider.write_address(SignInAttempt.begin("http://localhost/back"))
    reply.update(body=good, headers={})
    assert provider.write_address(SignInAttempt.begin("http://localhost/back")).startswith(issuer)


@pytest.mark.parametrize("kind", ["large", "packed", "slow"])
def test_an_oversized_or_slow_token_response_is_aborted(answers: tuple[str, dict[str, Any]], kind: str) -> None:
    issuer, reply = answers
    named = dict.fromkeys(("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"), issuer)
    reply["body"] = json.dumps(named).encode()
    written = 0

    def send() -> Iterator[bytes]:
        nonlocal written
        for _ in range(4000 if kind == "large" else 600):
            written += 1
            yield b" " * 65_536 if kind == "large" else b" "
            if kind == "slow":
                time.sleep(0.02)

    reply["token"] = [gzip.compress(b" " * 1_000_000)] if kind == "packed" else send()
    reply["token_headers"] = {"Content-Encoding": "gzip"} if kind == "packed" else {}
    provider = SignInProvider(make_settings(oidc_client_id="us", oidc_issuer=issuer, oidc_timeout=0.2))
    attempt = SignInAttempt.begin("http://localhost/back")
    with pytest.raises(Unavailable):
        provider.finish(attempt, {"state": attempt.state, "code": "x"})
    assert written < 600
