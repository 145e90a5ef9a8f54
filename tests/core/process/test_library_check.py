"""A process stops at start when a library lacks a private name that it uses."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest

from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.process.library_check import INTERNALS, WEB, WORKER, check_libraries

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("distribution", sorted({*WEB, *WORKER}))
def test_the_installed_libraries_have_every_name(distribution: str) -> None:
    check_libraries(distribution)


@pytest.mark.parametrize(
    ("owner", "names", "missing"),
    [
        ("redis.Connection", "_sock _gone", "redis.Connection._gone"),
        ("redis.Gone", "_sock", "redis.Gone"),
        ("redis.gone.Connection", "_sock", "redis.gone.Connection"),
    ],
)
def test_a_missing_name_is_reported_with_library_and_version(
    monkeypatch: pytest.MonkeyPatch, owner: str, names: str, missing: str
) -> None:
    monkeypatch.setitem(INTERNALS, "redis", {owner: names})
    with pytest.raises(SettingsError, match=re.escape(f"redis {version('redis')} has no {missing}, which")):
        check_libraries("redis")
