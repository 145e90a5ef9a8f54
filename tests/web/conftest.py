"""Fixtures: web applications, each with its own database and one agent of kind `brief`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swallowtail.app.core.config.settings import Settings
from tests.harness.closed_objects import closing_all
from tests.harness.settings import make_settings
from tests.web.app_fixture import Open, WebApp
from tests.web.callers import CallersApp, open_callers_app


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings without Redis: published messages are lost, as the design permits."""
    return make_settings(var_dir=tmp_path, async_mode="threading", database_wait=20, page_size=5, max_page_size=20)


@pytest.fixture
def web_app(settings: Settings) -> Iterator[WebApp]:
    """An application with the instance `acme`."""
    web_app = WebApp(settings)
    web_app.create_instance("acme")
    yield web_app
    web_app.close()


@pytest.fixture
def open_web_app(tmp_path: Path) -> Iterator[Open]:
    """Open applications with additional settings and without an instance."""

    def make(**more: str) -> WebApp:
        return WebApp(make_settings(var_dir=tmp_path, async_mode="threading", **more))

    yield from closing_all(make)


@pytest.fixture(scope="module")
def callers_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CallersApp]:
    """An application that requires authentication, with callers of every kind; one per test file."""
    with open_callers_app(Path(tmp_path_factory.mktemp("callers"))) as callers_app:
        yield callers_app
