"""Settings of the web process's door. Part of `core/settings`, whose docstring holds."""

from __future__ import annotations

import re
from ipaddress import ip_network

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

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
    hsts_seconds: int = Field(
        31_536_000,
        ge=0,
        description="How long browsers that came by TLS are told to come by nothing else; 0 for no word",
    )

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
