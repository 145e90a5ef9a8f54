"""Settings of the web process: its address, sizes of requests, accepted hosts and proxies, and sign-in."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Literal

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from swallowtail.app.core.config.addresses import plain_origin
from swallowtail.app.core.config.auth import check_provider
from swallowtail.app.core.config.basic import basic

_HOST = re.compile(r"\*|\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*|\[[A-Fa-f0-9:.]+\]")


class WebSettings(BaseModel):
    """Where the web process listens, how it serves, and how large requests and pages may be."""

    # The web process
    host: str = basic("127.0.0.1", description="Address to listen on")
    port: int = basic(8000, ge=0, le=65535, description="Port to listen on (`PORT` is read too)")
    async_mode: Literal["eventlet", "gevent", "threading"] = Field(
        "eventlet", description="Concurrency of web processes"
    )
    processes: int = basic(1, ge=1, le=256, description="Web processes that share the address (`--processes`)")
    cors_origins: str = basic("", description="Origins, comma separated, that may call across sites; none when empty")
    engine: Literal["fast", "stock"] = Field("fast", description="Our own websockets under eventlet, or the stock ones")
    max_connections: int = Field(10_000, ge=1, description="Open sockets that one web process accepts")
    max_body_bytes: int = Field(262_144, ge=1024, description="Largest request body or socket message")
    max_frame_bytes: int = Field(
        1_048_576, ge=4096, description="Largest socket frame that is read at all; a larger one closes the connection"
    )
    max_json_depth: int = Field(
        32, ge=4, le=200, description="Deepest nesting of any JSON: what is submitted, and what agents return"
    )
    max_json_nodes: int = Field(
        100_000, ge=100, description="Most values, each object, list, text and number counted, in one JSON document"
    )
    max_subscriptions: int = Field(100, ge=1, description="Instances and tasks that one client may watch at once")
    page_size: int = Field(50, ge=1, le=1000, description="Rows on a page of a list")
    max_page_size: int = Field(200, ge=1, le=1000, description="Most rows that a caller may ask for on a page")
    demo_instance: str = Field("demo", description="Instance that a release creates; empty for none")

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        return ",".join(plain_origin(word) for word in list_words(value))


class HttpSettings(BaseModel):
    """Which host names and proxies the web process accepts, and how people sign in to the pages."""

    # Hosts and proxies
    allowed_hosts: str = basic(
        "",
        description="Names, comma separated, under which the web process answers besides its own addresses: "
        "`app.example.org`, `.example.org` with all below it, or `*` for any",
    )
    trusted_proxies: str = basic(
        "",
        description="Addresses or networks, comma separated, of the proxies whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` count, or the number of proxies in front; none when empty",
    )
    url_prefix: str = Field(
        "",
        pattern=r"^(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$",
        max_length=200,
        description="Path under which the web process is reached, such as `/swallowtail`; a trusted proxy's "
        "`X-Forwarded-Prefix` goes before it",
    )
    hsts_seconds: int = Field(
        31_536_000, ge=0, description="How long browsers that came by TLS must use TLS only; 0 sends no such header"
    )

    # Sign-in on the pages
    session_idle_hours: float = Field(4.0, gt=0, le=8784, description="How long an unused session of the pages lasts")
    oidc_client_id: str = basic("", description="Client id at the OpenID Connect provider; no such sign-in when empty")
    oidc_client_secret: SecretStr = basic(
        SecretStr(""), description="Client secret there; empty for a client that uses PKCE alone"
    )
    oidc_issuer: str = basic("", description="The provider's issuer, as its tokens name it: https://…")
    oidc_scopes: str = Field("openid profile email", description="Scopes to ask for")
    oidc_provision: bool = Field(False, description="Whether a first sign-in creates the user here")
    oidc_timeout: float = Field(5.0, gt=0, le=60, description="Longest silence of the provider")

    @field_validator("oidc_issuer")
    @classmethod
    def _check_oidc_issuer(cls, value: str, info: ValidationInfo) -> str:
        if value:
            check_provider(value)
            if not info.data.get("oidc_client_id"):
                raise ValueError("needs SWALLOWTAIL_OIDC_CLIENT_ID too")
        return value

    @field_validator("oidc_scopes")
    @classmethod
    def _check_oidc_scopes(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("must have openid among them")
        return value

    @field_validator("allowed_hosts")
    @classmethod
    def _check_hosts(cls, value: str) -> str:
        for word in list_words(value):
            if not _HOST.fullmatch(word):
                raise ValueError(f"{word!r} is no host name: use names such as app.example.org or .example.org, or *")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: str) -> str:
        if not value.strip().isdecimal():
            for word in list_words(value):
                try:
                    ip_network(word)
                except ValueError as fault:
                    raise ValueError(f"must be addresses, networks or one number: {fault}") from None
        return value


def list_words(value: str) -> list[str]:
    """Return the parts of a comma separated setting."""
    return [word.strip() for word in value.split(",") if word.strip()]
