"""Settings of authentication: sessions, tokens, passwords and the identity provider of API clients."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from swallowtail.app.core.config.addresses import check_web_address
from swallowtail.app.core.config.basic import basic


class AuthSettings(BaseModel):
    """Who has access, and how callers prove who they are."""

    # Authentication and access
    auth: Literal["auto", "open", "required"] = basic(
        "auto",
        description="Whether callers must authenticate; `auto` requires it unless everything is embedded, bound to "
        "loopback, and nothing is set about proxies, hosts, origins or identity; `open` never requires it, on loopback "
        "addresses only; open access needs a direct connection from this machine",
    )
    secret_key: SecretStr = basic(
        SecretStr(""), description="Key that signs sessions and tokens; created and stored under `var` when unset"
    )
    secret_key_previous: SecretStr = Field(
        SecretStr(""), description="The previous key; what it signed stays valid until it expires"
    )
    token_issuer: str = Field("swallowtail", min_length=1, max_length=200, description="Issuer in our signed tokens")
    token_audience: str = Field("swallowtail", min_length=1, max_length=200, description="Audience in these tokens")
    access_token_minutes: float = Field(15.0, gt=0, le=1440, description="Lifetime of a session's access token")
    session_hours: float = Field(12.0, gt=0, le=8784, description="Lifetime of a session, until the next sign-in")
    personal_token_days: float = Field(90.0, gt=0, le=3660, description="Longest lifetime of a personal access token")
    front_end_token_hours: float = Field(24.0, gt=0, le=87840, description="Longest lifetime of an API token")
    personal_tokens: int = Field(50, ge=1, description="Personal access tokens that one user may have at once")
    front_end_tokens: int = Field(1000, ge=1, description="API tokens that one instance may have at once")
    token_file: str = Field(
        "", description="Where `swallowtail login` stores profiles; a file in your configuration directory when empty"
    )
    token: SecretStr = Field(SecretStr(""), description="Token of the `swallowtail` command, for scripts")
    url: str = Field("", description="Server that the `swallowtail` command calls; see [the command line](cli.md)")
    profile: str = Field("", description="Profile of the server that the `swallowtail` command calls")
    access_check: float = Field(1.0, gt=0, le=2, description="How often a web process checks for changed permissions")
    token_warning: float = Field(
        60.0, ge=0, le=3600, description="How long before token expiry a Socket.IO client is warned"
    )
    refusal_window: float = Field(
        60.0, ge=1, le=86_400, description="Time in which denied requests of one kind make one entry in the audit log"
    )
    max_refusals: int = Field(
        60, ge=1, le=10_000, description="Most entries about denied requests that one process writes in that time"
    )

    # Passwords
    password_min_length: int = Field(12, ge=8, le=128, description="Fewest characters of a password")
    password_max_length: int = Field(256, ge=64, le=4096, description="Most characters of a password")
    password_memory_kib: int = Field(
        19_456, ge=8, le=1_048_576, description="Memory of argon2id, in KiB; a change applies at a user's next login"
    )
    password_rounds: int = Field(2, ge=1, le=100, description="Rounds of argon2id; a change applies likewise")
    password_checks: int = Field(2, ge=1, le=64, description="Passwords that one process checks at a time")

    # Tokens of another issuer
    jwt_issuer: str = Field("", description="Issuer (`iss`) of the tokens that an identity provider signs")
    jwt_audience: str = Field("", description="Audience (`aud`) that they must name")
    jwks_url: str = Field("", description="Where the provider publishes its keys, RS256 or ES256; none when empty")
    jwt_leeway: float = Field(10.0, ge=0, le=300, description="How far clocks may differ, for tokens of any issuer")
    jwt_max_hours: float = Field(
        24.0, gt=0, le=8784, description="Longest lifetime of a provider's token, from its `iat`"
    )
    jwt_provision: bool = Field(False, description="Whether a provider's token creates its user here")
    jwks_ttl: float = Field(300.0, gt=0, description="How long the provider's keys are used before they are read again")
    jwks_stale: float = Field(86_400.0, ge=0, description="How much longer they are used while the provider is down")
    jwks_refresh: float = Field(30.0, ge=1, description="Shortest time between two reads, for any number of tokens")
    jwks_timeout: float = Field(5.0, gt=0, le=60, description="Longest time to read the keys")
    jwks_max_bytes: int = Field(262_144, ge=1024, description="Largest set of keys")

    @field_validator("secret_key", "secret_key_previous")
    @classmethod
    def _check_length(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return value

    @field_validator("jwks_url")
    @classmethod
    def _check_jwks_url(cls, value: str, info: ValidationInfo) -> str:
        if value:
            check_provider(value)
            if not info.data.get("jwt_issuer") or not info.data.get("jwt_audience"):
                raise ValueError("needs SWALLOWTAIL_JWT_ISSUER and SWALLOWTAIL_JWT_AUDIENCE too")
        return value


def check_provider(url: str) -> None:
    """Check the address of an identity provider: https, or http on loopback. Raises ValueError."""
    parts = check_web_address(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
        raise ValueError("must start with https://; http:// is possible on a loopback address only")


def is_loopback(host: str) -> bool:
    """Return whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
