"""A process stops at start when a library lacks a private name that it uses."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version

import pytest

from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.process.library_check import (
    COMMAND,
    INTERNALS,
    RELEASE,
    SERVERS,
    SWEEPER,
    WEB,
    WORKER,
    check_libraries,
)
from tests.harness.program import clean_environment

pytestmark = pytest.mark.unit


def test_the_installed_libraries_have_every_name() -> None:
    # In a process of its own: eventlet, once imported, warns at every later fork of this one.
    program = "from swallowtail.app.core.process.library_check import INTERNALS, check_libraries as c; c(*INTERNALS)"
    subprocess.run([sys.executable, "-c", program], env=clean_environment({}), check=True, timeout=120)


def test_each_name_is_checked_in_some_kind_of_process() -> None:
    assert {*COMMAND, *RELEASE, *SWEEPER, *WEB, *SERVERS.values(), *WORKER} == {*INTERNALS}


@pytest.mark.parametrize("mode", ["gevent", "threading"])
def test_eventlet_is_not_imported_for_another_server(mode: str) -> None:
    program = (
        "import sys\nfrom swallowtail.app.core.process.library_check import SERVERS, WEB, check_libraries\n"
        f"check_libraries(*WEB, SERVERS['{mode}'])\nassert 'eventlet' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], env=clean_environment({}), check=True, timeout=120)


@pytest.mark.parametrize(
    ("module", "kind"),
    [("scripts.cli.open_runtime", COMMAND), ("workers.sweeper_process", SWEEPER), ("workers.release", RELEASE)],
)
def test_the_check_imports_nothing_else(module: str, kind: tuple[str, ...]) -> None:
    """Each command would take longer to start."""
    program = (
        f"import sys, swallowtail.{module}\nbefore = {{*sys.modules}}\n"
        "from swallowtail.app.core.process.library_check import check_libraries\n"
        f"check_libraries(*{kind})\nassert {{*sys.modules}} == before, {{*sys.modules}} - before"
    )
    subprocess.run([sys.executable, "-c", program], env=clean_environment({}), check=True, timeout=120)


@pytest.mark.parametrize(
    ("owner", "names", "missing"),
    [
        ("redis.Connection", "_sock _gone", "redis.Connection._gone"),
        ("redis.Gone", "_sock", "redis.Gone"),
        ("redis.gone.Connection", "_sock", "redis.gone.Connection"),
        ("redis.connection", "_gone", "redis.connection._gone"),
        ("redis.gone", "_sock", "redis.gone"),
    ],
)
def test_a_missing_name_is_reported_with_library_and_version(
    monkeypatch: pytest.MonkeyPatch, owner: str, names: str, missing: str
) -> None:
    monkeypatch.setitem(INTERNALS, "redis", {owner: names})
    with pytest.raises(SettingsError, match=re.escape(f"redis {version('redis')} has no {missing}, which")):
        check_libraries("redis")
