"""An installed server runs in any folder, beside an application whose module is called `app`."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.harness.system.distributions import FIRST_START, outside_environment, run_outside
from tests.harness.system.ports import free_port
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.journey, pytest.mark.long]

#: An application of the folder, which has nothing to do with Swallowtail.
APP = 'raise SystemExit("app.py of the folder was imported")\n'
AGENTS = """
from pydantic import BaseModel
from swallowtail import Context, agent

class Letter(BaseModel):
    to: str

@agent(kind="greeting", title="Greeting", input=Letter)
def greet(ctx: Context, task_input: Letter) -> str:
    return ctx.step("greet", lambda: "Dear " + task_input.to)
"""
PAGES = (
    "/",
    "/instances/demo",
    "/instances/demo/new",
    "/agents",
    "/api/openapi.json",
    "/api/docs",
    "/docs/websocket_client_example.html",
    "/static/vendor/socket.io.min.js",
    "/static/vendor/socket.io.esm.min.js",
    "/static/js/pages/tasks.js",
    "/clients/javascript/task_websocket_client.js",
    "/clients/javascript/log_position.js",
)


@pytest.fixture(scope="module")
def url(installed_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `swallowtail up` in a folder with an `app.py` and an `agents.py`."""
    folder, port = tmp_path_factory.mktemp("project"), free_port()
    (folder / "app.py").write_text(APP)
    (folder / "agents.py").write_text(AGENTS)
    environment = outside_environment(folder) | {"SWALLOWTAIL_PORT": str(port), "SWALLOWTAIL_DATABASE_SYNC": "normal"}
    with (folder / "up.log").open("w") as log:
        up = subprocess.Popen(
            [str(installed_server / "swallowtail"), "up"], cwd=folder, env=environment, stdout=log, stderr=log
        )
        try:
            wait_until(
                lambda: "is ready at" in (folder / "up.log").read_text() or up.poll() is not None,
                "swallowtail up is ready",
                timeout=FIRST_START,
            )
            assert up.poll() is None, (folder / "up.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(60)


@pytest.mark.parametrize("path", PAGES)
def test_pages_scripts_and_clients_are_served(url: str, path: str) -> None:
    with urlopen(url + path) as response:
        body = response.read()
    assert response.status == 200
    assert body
    assert b"is not installed" not in body


def test_an_agent_of_the_folder_runs_for_the_installed_client(url: str, installed_base: Path, tmp_path: Path) -> None:
    code = f"""
from swallowtail.client import Client

with Client({url!r}) as client:
    task = client.submit("greeting", {{"to": "Ann"}}, instance="demo").task
    ended = client.wait(task.id)
    print(ended.status, ended.result)
"""
    done = run_outside(installed_base, tmp_path, "python", "-c", code)
    assert (done.stdout, done.stderr) == ("COMPLETED Dear Ann\n", "")
