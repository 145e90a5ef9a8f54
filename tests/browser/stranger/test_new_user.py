"""A new user installs the wheel, runs it in a folder of their own, and changes an agent."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.harness.program import ROOT
from tests.harness.project.files import AGENTS, EVENTS, IMPORTED, write_files
from tests.harness.project.project import Project
from tests.harness.services import require
from tests.harness.system.distributions import make_environment
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


def greet(project: Project, name: str) -> str:
    """Return the letter that the agent writes now."""
    return project.run_python("submit.py", project.url, name)[-1]


@pytest.fixture(scope="module")
def npm_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The npm package of this repository."""
    directory = tmp_path_factory.mktemp("npm")
    command = [require("npm"), "pack", "--silent", "--pack-destination", str(directory)]
    subprocess.run(command, cwd=ROOT / "clients" / "javascript", check=True, stdout=subprocess.DEVNULL)
    (package,) = directory.glob("swallowtail-client-*.tgz")
    return package


@pytest.fixture(scope="module")
def lowest_server(built_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of programs of an environment with the oldest versions that setup.cfg allows."""
    requirement = f"swallowtail[server,campaign] @ {built_wheel.as_uri()}"
    directory = tmp_path_factory.mktemp("lowest")
    return make_environment(directory, "--resolution", "lowest-direct", requirement)


@pytest.mark.parametrize("installation", ["installed_server", "lowest_server"])
def test_a_new_user_installs_runs_watches_and_changes_an_agent(
    installation: str, npm_package: Path, tmp_path: Path, page: Page, request: pytest.FixtureRequest
) -> None:
    project = Project(tmp_path, request.getfixturevalue(installation))
    write_files(tmp_path)
    project.run(require("npm"), "install", "--silent", "--no-audit", "--no-fund", str(npm_package))

    with project.running("up") as up:
        campaign = project.submit("social_campaign", {"brief": (ROOT / "examples" / "brief.md").read_text("utf-8")})
        page.goto(f"{project.url}/tasks/{campaign['task']['id']}")
        expect(page.locator("#status")).to_have_text("Completed", timeout=120_000)
        assert page.locator("#steps > li").count() > 5

        assert project.run_python("submit.py", project.url, "Ann") == [*EVENTS, "Dear Ann, yours"]
        assert project.run_node("submit.mjs", project.url, "Bob") == [*EVENTS, "Dear Bob, yours"]
        page.goto(f"{project.url}/instances/demo")
        greetings = page.locator("#tasks > li", has_text="Greeting")
        expect(greetings).to_have_count(2)
        greetings.first.get_by_role("link").first.click()
        expect(page.locator("#steps > li")).to_have_count(2)
        assert "Traceback" not in up.log_text()
        assert IMPORTED not in up.log_text()
    assert project.run_python("-c", "import app; print(app.app.test_client().get('/').text)") == ["the user's own page"]

    with project.running("dev"):
        assert greet(project, "Cleo") == "Dear Cleo, yours"
        (tmp_path / "agents.py").write_text(AGENTS.replace("Dear", "Hello"), encoding="utf-8")
        wait_until(lambda: greet(project, "Dora") == "Hello Dora, yours", "the changed agent runs")
