"""An installed server runs in any folder, beside an application whose module is called `app`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.harness.project.files import EVENTS, IMPORTED, write_files
from tests.harness.project.project import Project
from tests.harness.system.distributions import run_outside

pytestmark = [pytest.mark.journey, pytest.mark.long]

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
def project(installed_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A folder with an `app.py`, an `agents.py` and `swallowtail up`, which does not import the first."""
    project = Project(tmp_path_factory.mktemp("project"), installed_server)
    write_files(project.directory)
    with project.running("up") as up:
        yield project
        assert IMPORTED not in up.log_text()


@pytest.mark.parametrize("path", PAGES)
def test_pages_scripts_and_clients_are_served(project: Project, path: str) -> None:
    with urlopen(project.url + path) as response:
        body = response.read()
    assert response.status == 200
    assert body
    assert b"is not installed" not in body


def test_an_agent_of_the_folder_runs_for_the_installed_client(project: Project, installed_base: Path) -> None:
    done = run_outside(installed_base, project.directory, "python", "submit.py", project.url, "Ann")
    assert (done.stdout.splitlines(), done.stderr) == ([*EVENTS, "Dear Ann, yours"], "")
