"""One web application on a database of its own, with one agent that takes a brief."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swallowtail.app.core.config.settings import Settings
from tests.harness.settings import make_settings
from tests.web.app_fixture import Open, WebApp
from tests.web.callers import Gallery, open_gallery


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a process without Redis: what is published is lost, as it may be."""
    return make_settings(var_dir=tmp_path, async_mode="threading", database_wait=20, page_size=5, max_page_size=20)


@pytest.fixture
def web_app(settings: Settings) -> Iterator[WebApp]:
    """The application with an instance `acme`, and ways to ask it and to play the worker."""
    web_app = WebApp(settings)
    web_app.create_instance("acme")
    yield web_app
    web_app.close()


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Open]:
    """Makes applications with settings of the test's own, and without an instance."""
    desks: list[WebApp] = []

    def make(**more: str) -> WebApp:
        desks.append(WebApp(make_settings(var_dir=tmp_path, async_mode="threading", **more)))
        return desks[-1]

    yield make
    for web_app in desks:
        web_app.close()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """An application that asks callers who they are, with everybody who may ask; one for each file."""
    with open_gallery(Path(tmp_path_factory.mktemp("gallery"))) as gallery:
        yield gallery
