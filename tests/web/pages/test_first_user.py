"""The sign-in page says how to create the first user, as long as there is none."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from swallowtail.app.core.identity import first_user, users
from swallowtail.scripts import banner
from tests.harness.closed_objects import closing_all
from tests.harness.settings import make_settings
from tests.identity.bench import CHEAP, KEY, PASSWORD
from tests.web.app_fixture import WebApp
from tests.web.browser_client import sign_in

COMMAND = "users create admin --superuser"


@pytest.fixture
def open_web_app(tmp_path: Path) -> Iterator[Callable[..., WebApp]]:
    def make(**values: Any) -> WebApp:
        options = {"var_dir": tmp_path, "async_mode": "threading", "auth": "required", "secret_key": KEY, **CHEAP}
        return WebApp(make_settings(**{**options, **values}))

    yield from closing_all(make)


def shown(web_app: WebApp) -> str:
    page = web_app.client.get("/login")
    assert page.status_code == 200
    return html.unescape(page.text).replace('<span class="nowrap">', "").replace("</span>", "")


def test_the_command_is_shown_until_there_is_a_user(
    open_web_app: Callable[..., WebApp], monkeypatch: pytest.MonkeyPatch
) -> None:
    web_app = open_web_app()
    assert COMMAND in shown(web_app)
    refused = sign_in(web_app.client, name="admin")
    assert (refused.status_code, COMMAND.split()[0] in refused.text) == (401, True)
    users.create_user(web_app.rt, "admin", PASSWORD, is_superuser=True)
    assert COMMAND not in shown(web_app)
    # From then on the database is not asked.
    monkeypatch.setattr(first_user, "has_users", lambda session: pytest.fail("asked again"))
    assert COMMAND not in shown(web_app)


def test_the_page_names_no_directory_of_the_server(
    open_web_app: Callable[..., WebApp], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    page = shown(open_web_app())
    assert f"<code>swallowtail {COMMAND}</code>" in page


def test_a_database_that_does_not_answer_hides_the_command_and_not_the_page(
    open_web_app: Callable[..., WebApp],
) -> None:
    web_app = open_web_app()
    web_app.rt.db.dispose()
    (web_app.rt.settings.var / "swallowtail.db").write_bytes(b"no database" * 100)
    assert COMMAND not in shown(web_app)


def test_the_message_of_a_start_finds_both_marks(open_web_app: Callable[..., WebApp]) -> None:
    web_app = open_web_app()
    assert banner.NO_USER in web_app.client.get("/login").data
    assert banner.NO_WORKER in web_app.client.get("/readyz").data
