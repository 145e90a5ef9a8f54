"""Access to the metrics of a worker and of beat: the same rules as in a web process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import values

from swallowtail.app.core.identity.api_tokens import issue_personal
from swallowtail.app.core.identity.users import create_user
from swallowtail.app.core.runtime import Runtime
from swallowtail.app.core.schemas.identities import NewToken
from swallowtail.app.core.security.actors import Actor, Caller
from swallowtail.workers import metrics, metrics_server
from tests.harness.database.tables import create_tables
from tests.harness.settings import make_settings

MakeRuntime = Callable[..., Runtime]


@pytest.fixture
def make_runtime(tmp_path: Path) -> Iterator[MakeRuntime]:
    """Build a runtime with these settings; it is closed after the test."""
    with ExitStack() as opened:

        def make(**values: Any) -> Runtime:
            runtime = Runtime.build(make_settings(var_dir=tmp_path, **values))
            opened.callback(runtime.close)
            create_tables(runtime.db.engine)
            return runtime

        yield make


def _issue(runtime: Runtime, name: str, *acts: str, is_superuser: bool = False) -> str:
    view = create_user(runtime, name, "correct horse battery", is_superuser=is_superuser)
    actor = Actor("user", view["id"], name, user_id=view["id"], is_superuser=is_superuser)
    return issue_personal(runtime.by(Caller(actor, "rest")), NewToken(name="test", acts=list(acts) or None))["secret"]


def _ask(runtime: Runtime, token: str | None = None, path: str = "/metrics") -> tuple[int, dict[str, str], str]:
    response: list[Any] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path}
    if token is not None:
        environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    body = b"".join(metrics_server.make_application(runtime)(environ, lambda *started: response.extend(started)))
    return int(response[0][:3]), dict(response[1]), body.decode()


def test_an_open_deployment_serves_metrics_without_a_token(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    status, headers, body = _ask(runtime)
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "\nswallowtail_database_pool_limit " in body
    # An invalid token is refused there too.
    assert _ask(runtime, "swt_none")[0] == 401
    assert _ask(runtime, path="/readyz")[0] == 404


def test_beyond_loopback_a_token_is_required(make_runtime: MakeRuntime) -> None:
    status, headers, body = _ask(make_runtime(metrics_host="192.0.2.1"))
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "swallowtail_" not in body


def test_with_required_sign_in_the_token_must_allow_reading_metrics(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(auth="required", secret_key="k" * 40)
    chief = _issue(runtime, "ann", "metrics.read", is_superuser=True)
    assert _ask(runtime)[0] == 401
    assert _ask(runtime, chief)[0] == 200
    assert _ask(runtime, _issue(runtime, "bob"))[0] == 403
    assert _ask(runtime, _issue(runtime, "eve", "instance.read", is_superuser=True))[0] == 403
    runtime.db.wait = 0.0
    runtime.db.dispose()
    for file in tmp_path.glob("swallowtail.db*"):
        file.unlink()
    (tmp_path / "swallowtail.db").mkdir()
    assert _ask(runtime, chief)[0] == 503


def test_programs_of_a_run_write_no_metrics_to_the_files_of_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(metrics.DIRECTORY, str(tmp_path / f"{metrics.PREFIX}x"))
    metrics.keep_to_this_process()
    assert metrics.DIRECTORY in os.environ
    asked = f"import os; print({metrics.DIRECTORY!r} in os.environ)"
    started = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert started.stdout == "False\n"


def test_a_directory_from_the_environment_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(metrics.DIRECTORY, str(tmp_path))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "swallowtail.workers.sweeper_process"])
    before = values.ValueClass
    metrics._begin()
    assert values.ValueClass is before
