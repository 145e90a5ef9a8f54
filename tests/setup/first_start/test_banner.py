"""The message of a start names commands that work as typed, in each situation."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from swallowtail.app.core.process.command_name import find_command, name_command
from swallowtail.scripts import banner
from tests.harness.program import ROOT
from tests.harness.settings import make_settings

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(banner, "find_command", lambda: ".venv/bin/swallowtail")
    for name in (*banner.DATA, *banner.ADDRESS, "SWALLOWTAIL_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def message(monkeypatch: pytest.MonkeyPatch, page: bytes = b"", **values: object) -> str:
    async def get(*_: object) -> bytes:
        return page

    monkeypatch.setattr(banner, "_get", get)
    return asyncio.run(banner.ready_message(make_settings(**values)))


def test_with_open_access_it_offers_the_sample_in_the_browser_and_on_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = message(monkeypatch)
    assert "Swallowtail is ready at http://127.0.0.1:8000\nDemo instance: demo\n" in text
    assert "submit the task at http://127.0.0.1:8000/instances/demo/new?sample=1\n" in text
    command = "enqueue social_campaign --instance demo --sample --follow"
    assert f"\n     .venv/bin/swallowtail {command}\n" in text


def test_a_port_that_only_this_environment_has_is_part_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--url" not in message(monkeypatch, port=8100)
    monkeypatch.setenv("PORT", "8100")
    assert "--follow --url http://127.0.0.1:8100\n" in message(monkeypatch, port=8100)


def test_without_the_libraries_of_the_team_it_offers_another_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banner, "find_spec", lambda name: None if name == "yake" else object())
    assert "enqueue echo --instance demo --sample --follow\n" in message(monkeypatch)


def test_without_a_user_it_says_how_to_create_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWALLOWTAIL_VAR_DIR", "/srv/my data")
    text = message(monkeypatch, b'<div id="first-user">', auth="required")
    assert "Callers must authenticate (SWALLOWTAIL_AUTH), and there is no user yet.\n" in text
    assert "1. Create the first user, who owns the instance demo, in a second terminal (" in text
    command = "SWALLOWTAIL_VAR_DIR='/srv/my data' .venv/bin/swallowtail users create admin --superuser"
    assert f"\n     {command}\n" in text


def test_the_url_of_the_database_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me:secret@db/one"
    monkeypatch.setenv("SWALLOWTAIL_DATABASE_URL", url)
    text = message(monkeypatch, b'<div id="first-user">', database_url=url, secret_key="k" * 32)
    assert "in a second terminal with the same SWALLOWTAIL_DATABASE_URL (" in text
    assert "secret" not in text


def test_with_users_it_says_to_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    text = message(monkeypatch, b"<form>", auth="required")
    assert "Callers must authenticate (SWALLOWTAIL_AUTH).\n" in text
    assert "users create" not in text
    assert "sign in and submit the task at http://127.0.0.1:8000/instances/demo/new?sample=1\n" in text


def test_the_command_is_named_as_this_shell_finds_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    programs = tmp_path / "env" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "swallowtail"):
        (programs / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.chdir(tmp_path)
    assert find_command(path=os.defpath) == "env/bin/swallowtail"
    assert find_command(path=str(programs)) == "swallowtail"
    assert name_command() == "env/bin/swallowtail"
    monkeypatch.chdir(programs)
    assert find_command(path=os.defpath) == "./swallowtail"
    monkeypatch.chdir("/usr")
    assert find_command(path=os.defpath) == str(programs / "swallowtail")
    assert name_command() == "swallowtail"


def test_it_waits_for_a_worker_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [banner.NO_WORKER, None, b'"workers":{"status":"ok"}']
    asked = []

    async def get(_: object, path: str) -> bytes | None:
        asked.append(path)
        return pages[0] if len(pages) == 1 else pages.pop(0)

    monkeypatch.setattr(banner, "_get", get)
    asyncio.run(banner.wait_for_worker(make_settings(), pause=0.0))
    assert asked == ["/readyz"] * 2
    pages[:] = [banner.NO_WORKER]
    asyncio.run(banner.wait_for_worker(make_settings(), longest=0.01, pause=0.0))
