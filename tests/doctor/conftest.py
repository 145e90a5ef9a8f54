"""A prepared database for the checks of a deployment."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.database.migrate import migrate
from swallowtail.app.core.ledger.agent_cards import register
from swallowtail.app.core.runtime import Runtime
from tests.core.schedule_domain import ECHO
from tests.harness.closed_objects import closing_all
from tests.harness.settings import make_settings

NewRuntime = Callable[..., Runtime]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a migrated SQLite database with one agent."""
    directory = tmp_path_factory.mktemp("doctor")
    settings = make_settings(var_dir=directory)
    migrate(settings)
    runtime = Runtime.build(settings, publish=False)
    register(runtime.db, [ECHO])
    runtime.close()
    return directory


@pytest.fixture
def new_runtime(migrated: Path, tmp_path: Path) -> Iterator[NewRuntime]:
    """Make runtimes on a copy of that database; they are closed at the end of the test."""
    shutil.copy(migrated / "swallowtail.db", tmp_path)

    def make(**settings: Any) -> Runtime:
        return Runtime.build(make_settings(var_dir=tmp_path, **settings), publish=False)

    yield from closing_all(make)
