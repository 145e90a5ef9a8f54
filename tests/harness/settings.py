"""Settings for tests: some fields and the defaults, without the environment and without a disk sync per commit."""

from __future__ import annotations

from typing import Any

from swallowtail.app.core.config.settings import Settings


def make_settings(**fields: Any) -> Settings:
    """Return settings from fields; values may be text, as in an environment."""
    return Settings(**{"database_sync": "normal", **fields})
