"""One web application on a database of its own, with one agent that takes a brief."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.settings import Settings
from tests.web.desk import Desk, Open
from tests.web.gallery import Gallery, open_gallery


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a process without Redis: what is published is lost, as it may be."""
    return Settings(
        _env_file=None, var_dir=tmp_path, async_mode="threading", database_wait=20, page_size=5, max_page_size=20
    )


@pytest.fixture
def desk(settings: Settings) -> Iterator[Desk]:
    """The application with an instance `acme`, and ways to ask it and to play the worker."""
    desk = Desk(settings)
    desk.create_instance("acme")
    yield desk
    desk.close()


@pytest.fixture
def open_desk(tmp_path: Path) -> Iterator[Open]:
    """Makes applications with settings of the test's own, and without an instance."""
    desks: list[Desk] = []

    def make(**more: str) -> Desk:
        desks.append(Desk(Settings(_env_file=None, var_dir=tmp_path, async_mode="threading", **more)))  # type: ignore[arg-type]
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """An application that asks callers who they are, with everybody who may ask; one for each file."""
    with open_gallery(Path(tmp_path_factory.mktemp("gallery"))) as gallery:
        yield gallery
