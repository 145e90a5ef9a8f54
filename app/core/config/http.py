"""Settings of the web process's door. Part of `core/config/settings`, whose docstring holds."""

from __future__ import annotations

import re
from ipaddress import ip_network

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from swallowtail.app.core.config.addresses import check_web_address
from swallowtail.app.core.config.auth import is_loopback

_HOST = re.compile(r"\*|\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[A-Fa-f0-9:.]+\]")


class EntranceSettings(BaseSettings):
    """Under which names the web process answers, and whom it believes about where a request comes from."""

    # At the door
    allowed_hosts: str = Field(
        "",
        description="Names, comma separated, under which the web process answers besides its own addresses: "
        "`app.example.org`, `.example.org` with all below it, or `*` for any",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks, comma separated, of the proxies whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` count, or how many there are in front; nobody's when empty",
    )
    url_prefix: str = Field(
        "",
        pattern=r"^(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$",
        max_length=200,
        description="Path under which the web process is reached, such as `/swallowtail`; a trusted proxy's "
        "`X-Forwarded-Prefix` goes before it",
    )
    hsts_seconds: int = Field(
        31_536_000,
        ge=0,
        description="How long browsers that came by TLS are told to come by nothing else; 0 for no word",
    )

    # Signing in to the pages
    session_idle_hours: float = Field(
        4.0, gt=0, le=8784, description="How long a session of the pages lasts that nobody uses"
    )
    oidc_client_id: str = Field("", description="What the identity provider calls this Swallowtail; none when empty")
    oidc_client_secret: SecretStr = Field(
        SecretStr(""), description="Its secret there; empty for a client that is known by PKCE alone"
    )
    oidc_issuer: str = Field("", description="The identity provider, as its tokens name it: https://…")
    oidc_scopes: str = Field("openid profile email", description="What it is asked for")
    oidc_provision: bool = Field(False, description="Whether whoever it vouches for becomes known here")
    oidc_timeout: float = Field(5.0, gt=0, le=60, description="Longest silence of the provider")

    @field_validator("oidc_issuer")
    @classmethod
    def _safe_provider(cls, value: str, info: ValidationInfo) -> str:
        if not value:
            return value
        parts = check_web_address(value)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise ValueError("must start with https://; http:// is possible on a loopback address only")
        if not info.data.get("oidc_client_id"):
            raise ValueError("needs SWALLOWTAIL_OIDC_CLIENT_ID too")
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _has_openid(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("must have openid among them")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: str) -> str:
        for word in list_words(value):
            if not _HOST.fullmatch(word):
                raise ValueError(f"{word!r} is no host name: give names such as app.example.org or .example.org, or *")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        if not value.strip().isdecimal():
            for word in list_words(value):
                try:
                    ip_network(word)
                except ValueError as fault:
                    raise ValueError(f"give addresses, networks or one number: {fault}") from None
        return value


def list_words(value: str) -> list[str]:
    """Return the parts of a comma separated setting."""
    return [word.strip() for word in value.split(",") if word.strip()]
