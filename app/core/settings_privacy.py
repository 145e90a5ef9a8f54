"""Settings of what is hidden, sealed and kept. Part of `core/settings`, whose docstring holds."""

from __future__ import annotations

from pydantic_settings import BaseSettings


class PrivacySettings(BaseSettings):
    """What is stored, in which form, and for how long."""
