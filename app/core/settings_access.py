"""Settings of identity and access. Part of `core/settings`, whose docstring holds."""

from __future__ import annotations

import ipaddress
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings


class AccessSettings(BaseSettings):
    """Who may come in, and how they prove who they are."""

    # Who may come in
    auth: Literal["auto", "open", "required"] = Field(
        "auto",
        description="Whether callers must say who they are; `auto` lets anybody in on the embedded default bound to "
        "loopback only, `open` does so on any loopback address",
    )
    secret_key: SecretStr = Field(
        SecretStr(""), description="Key that signs sessions and tokens; made and kept under `var` when unset"
    )

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 32:
            raise ValueError("must have at least 32 characters")
        return value


def is_loopback(host: str) -> bool:
    """Tell whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
