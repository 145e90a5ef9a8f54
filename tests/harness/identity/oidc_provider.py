"""A real OpenID Connect provider, which a test can make answer wrongly.

    python -m tests.harness.identity.oidc_provider PORT

It signs in `ada` without asking, checks PKCE, the client's secret and the address that the browser is sent back to, and
signs RS256. `/misbehave?how=…` makes it answer wrongly from then on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.harness.identity.signed_tokens import public_key, sign_token
from tests.harness.program import ROOT, Program
from tests.harness.system.ports import answers, free_port

CLIENT_ID, CLIENT_SECRET = "swallowtail", "a secret between the two of them, long"
KID = "one"


class Provider:
    """What the provider knows: its keys, the codes that it gave, and how it is to behave."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self.foreign_key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self.codes: dict[str, dict[str, str]] = {}
        self.how = "well"

    def describe(self) -> dict[str, Any]:
        """The discovery document."""
        issuer = "https://other.example" if self.how == "other_issuer" else self.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": "http://192.0.2.1/token" if self.how == "unsafe" else f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            # A careful client does not believe this.
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }

    def keys(self) -> dict[str, Any]:
        """The public keys."""
        return {"keys": [{**public_key(self.key), "kid": KID, "use": "sig", "alg": "RS256"}]}

    def authorize(self, asked: Mapping[str, str]) -> str:
        """Where the browser goes from here."""
        back, state = asked["redirect_uri"], asked["state"]
        if self.how == "denied":
            return f"{back}?{urlencode({'error': 'access_denied', 'state': state})}"
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = dict(asked)
        state = "another" if self.how == "wrong_state" else state
        return f"{back}?{urlencode({'code': code, 'state': state})}"

    def exchange(self, payload: Mapping[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        """The tokens for a code, and the status."""
        asked = self.codes.pop(payload.get("code", ""), None)
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if self.how == "broken":
            return 500, {}
        if asked is None or authorization != f"Basic {expected}":
            return 400, {"error": "invalid_grant"}
        digest = hashlib.sha256(payload.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if challenge != asked["code_challenge"] or payload.get("redirect_uri") != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        token = self.sign(asked["nonce"])
        return 200, {"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": token}

    def sign(self, nonce: str) -> str:
        """The ID token."""
        moment = int(time.time())
        claims: dict[str, Any] = {"iss": self.issuer, "aud": CLIENT_ID, "sub": "ada-1815", "nonce": nonce}
        claims |= {"iat": moment, "exp": moment + 60, "preferred_username": "ada"}
        wrong: dict[str, dict[str, Any]] = {
            "wrong_nonce": {"nonce": "another"},
            "wrong_audience": {"aud": "another-client"},
            "wrong_issuer": {"iss": "https://other.example"},
            "expired": {"iat": moment - 7200, "exp": moment - 3600},
            "many_audiences": {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
        }
        claims |= wrong.get(self.how, {})
        claims = {name: value for name, value in claims.items() if name != self.how.removeprefix("without_")}
        headers = {"kid": KID}
        if self.how == "unsigned":
            return sign_token(claims, "", "none", headers=headers)
        if self.how == "shared_secret":
            return sign_token(claims, CLIENT_SECRET, headers=headers)
        key = self.foreign_key if self.how == "foreign_key" else self.key
        return sign_token(claims, key, "RS256", headers=headers)


class OidcProvider(Program):
    """The provider as a program that a test starts."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "tests.harness.identity.oidc_provider", str(self.port)]
        super().__init__("provider", command, log=directory / "provider.log", cwd=ROOT)

    def ready(self) -> bool:
        """It accepts connections."""
        return answers(self.port)

    def settings(self) -> dict[str, object]:
        """The settings of a web process."""
        return {"oidc_issuer": self.issuer, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET}


def make_handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    """What speaks HTTP for a provider."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
            if path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(query))
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif path == "/misbehave":
                provider.how = query["how"]
                self._answer(200, {})
            elif path == "/jwks":
                self._answer(200, provider.keys())
            else:
                self._answer(200, provider.describe())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(*provider.exchange(dict(parse_qsl(body)), self.headers.get("Authorization", "")))

        def _answer(self, status: int, value: dict[str, Any]) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


if __name__ == "__main__":
    place = int(sys.argv[1])
    ThreadingHTTPServer(("127.0.0.1", place), make_handler(Provider(place))).serve_forever()
