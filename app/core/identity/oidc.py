"""Signs users in at an identity provider by OpenID Connect: the code flow with PKCE, through Authlib.

Each sign-in reads the provider's configuration and keys again, so that no cached copy is outdated. No transaction is
open meanwhile, so that a slow provider blocks none.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx2
import orjson
from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from swallowtail.app.core.config.auth import is_loopback
from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unauthenticated, Unavailable
from swallowtail.app.core.identity.jwks import PLAIN
from swallowtail.app.core.identity.users import Identity

#: Accepted algorithms of ID tokens, whichever the provider offers: no shared secrets, no unsigned tokens.
ALGORITHMS = ["RS256", "ES256"]
_DISCOVERY = "/.well-known/openid-configuration"
#: Length of each secret of a sign-in; PKCE requires 43 to 128 characters.
_LENGTH = 48
_WRONG = "the response of the identity provider cannot be used; sign in again"


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """One sign-in: the secrets that the provider returns, and the address for its response."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str

    @classmethod
    def begin(cls, redirect_uri: str) -> Self:
        """Return a new sign-in with new secrets."""
        return cls(generate_token(_LENGTH), generate_token(_LENGTH), generate_token(_LENGTH), redirect_uri)


class _SizeLimitedStream(httpx2.SyncByteStream):
    """The bytes of a response. Raises ValueError after more than `most` bytes, or after the moment `until`."""

    def __init__(self, source: Any, most: int, until: float) -> None:
        self._source = source
        self._most = most
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        left = self._most
        for part in self._source:
            left -= len(part)
            if left < 0 or time.monotonic() > self._until:
                raise ValueError("too large, or too slow")
            yield part

    def close(self) -> None:
        """Close the connection or return it to the pool."""
        self._source.close()


class SignInProvider:
    """The identity provider of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def write_address(self, attempt: SignInAttempt) -> str:
        """Return the address at the provider to which a browser is redirected. Raises Unavailable."""
        with self._client(attempt) as client:
            endpoint = self._discover(client)["authorization_endpoint"]
            url, _ = client.create_authorization_url(
                endpoint, state=attempt.state, nonce=attempt.nonce, code_verifier=attempt.verifier
            )
        return str(url)

    def finish(self, attempt: SignInAttempt, query: Mapping[str, str]) -> Identity:
        """Return the identity that the provider confirms; `query` is of the browser's request after the sign-in.

        Raises Unauthenticated, and Unavailable if the provider is down or its response cannot be read.
        """
        settings = self._settings
        if not hmac.compare_digest(attempt.state.encode(), query.get("state", "").encode()):
            raise Unauthenticated("this sign-in was started elsewhere; try again")
        if query.get("iss", settings.oidc_issuer) != settings.oidc_issuer:
            raise Unauthenticated(_WRONG)
        if "code" not in query:
            raise Unauthenticated(f"the identity provider refused: {query.get('error', 'without a reason')[:100]}")
        with self._client(attempt) as client:
            addresses = self._discover(client)
            try:
                tokens = client.fetch_token(
                    addresses["token_endpoint"], code=query["code"], code_verifier=attempt.verifier
                )
            except AuthlibBaseError:
                raise Unauthenticated(_WRONG) from None
            except (httpx2.HTTPError, ValueError) as fault:
                raise _as_unavailable(fault) from None
            keys = self._read_json(client, addresses["jwks_uri"])
        return Identity.of_claims(settings.oidc_issuer, self._read(tokens, keys, attempt))

    def _client(self, attempt: SignInAttempt) -> Any:
        settings = self._settings
        secret = settings.oidc_client_secret.get_secret_value()
        return OAuth2Client(
            settings.oidc_client_id,
            secret or None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope=settings.oidc_scopes,
            redirect_uri=attempt.redirect_uri,
            code_challenge_method="S256",
            timeout=settings.oidc_timeout,
            follow_redirects=False,
            headers=PLAIN,
            event_hooks={"response": [self._bound]},
        )

    def _bound(self, response: httpx2.Response) -> None:
        """Limit the size and the duration of a response. Raises ValueError if it is compressed."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise ValueError("compressed although the request refuses it")
        until = time.monotonic() + self._settings.oidc_timeout
        response.stream = _SizeLimitedStream(response.stream, self._settings.jwks_max_bytes, until)

    def _discover(self, client: Any) -> dict[str, str]:
        issuer = self._settings.oidc_issuer
        document = self._read_json(client, issuer.rstrip("/") + _DISCOVERY)
        if document.get("issuer") != issuer:
            raise Unavailable("the issuer of the identity provider differs from SWALLOWTAIL_OIDC_ISSUER")
        addresses = {name: document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")}
        for name, address in addresses.items():
            if not isinstance(address, str) or not is_safe_address(address):
                raise Unavailable(f"the identity provider's {name} is no https:// address")
        return {name: str(address) for name, address in addresses.items()}

    def _read_json(self, client: Any, address: str) -> dict[str, Any]:
        """Return the object at an address. Raises Unavailable, also when it is too large (`jwks_max_bytes`)."""
        try:
            response = client.request("GET", address, withhold_token=True)
            response.raise_for_status()
            document = orjson.loads(response.content)
        except (httpx2.HTTPError, ValueError) as fault:
            raise _as_unavailable(fault) from None
        if not isinstance(document, dict):
            raise _as_unavailable(ValueError("no object"))
        return document

    def _read(self, tokens: Mapping[str, Any], keys: Any, attempt: SignInAttempt) -> CodeIDToken:
        settings = self._settings
        requirements = {
            "iss": {"essential": True, "value": settings.oidc_issuer},
            "aud": {"essential": True, "value": settings.oidc_client_id},
            "nonce": {"essential": True, "value": attempt.nonce},
        }
        try:
            registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
            token = jwt.decode(str(tokens.get("id_token", "")), KeySet.import_key_set(keys), registry=registry)
            params = {
                "nonce": attempt.nonce,
                "client_id": settings.oidc_client_id,
                "access_token": tokens.get("access_token"),
            }
            claims = CodeIDToken(token.claims, token.header, requirements, params)
            claims.validate(leeway=settings.jwt_leeway)
        except (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError):
            raise Unauthenticated(_WRONG) from None
        if not isinstance(claims.get("sub"), str) or not claims["sub"]:
            raise Unauthenticated(_WRONG)
        return claims


def is_safe_address(address: str) -> bool:
    """Return whether an address is confidential: https, or a server on this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _as_unavailable(fault: Exception) -> Unavailable:
    return Unavailable(f"the identity provider cannot be reached ({type(fault).__name__})")
