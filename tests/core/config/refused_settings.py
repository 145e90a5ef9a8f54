"""Loads settings that are refused, for the tests of their messages."""

from __future__ import annotations

import pytest

from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.errors import SettingsError


def load_refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Load the settings with these variables and return the message of the error."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    return refused.value.message
