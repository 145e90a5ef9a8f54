"""Settings of rates and numbers that callers may not exceed. Part of `core/settings`, whose docstring holds."""

from __future__ import annotations

from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """How much one caller may ask for."""
