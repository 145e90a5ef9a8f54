"""Settings for tests: fields and defaults, without environment, disk syncs and pauses in the demo instance."""

from __future__ import annotations

from typing import Any

from swallowtail.app.core.config.settings import Settings


def make_settings(**fields: Any) -> Settings:
    """Return settings from fields; values may be text, as in an environment."""
    return Settings(**{"database_sync": "normal", "demo_words_per_second": 0, **fields})
