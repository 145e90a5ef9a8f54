"""Every recipe of the documentation and examples is run as written, here or by a test named here."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.deployment import Deployment
from tests.harness.program import ROOT, clean_environment
from tests.harness.servers import RedisBinary

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: A block that is not run, with the reason (tests/docs).
NOT_RUN = re.compile(r"^<!-- not run: .*? -->\n+```console\n.*?^```", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
PAGES += [*sorted(ROOT.glob("clients/*.md")), *sorted(ROOT.glob("scripts/*.md"))]
#: Recipes that other tests run, and those that are the tests themselves, by how they begin.
ELSEWHERE = {
    "./scripts/up": "tests/setup/processes/test_supervise.py",
    "swallowtail up": "tests/setup/processes/test_supervise.py",
    "swallowtail dev": "tests/setup/processes/test_dev.py",
    "swallowtail init": "tests/setup/processes/test_new_project.py",
    "SWALLOWTAIL_AGENTS=examples.word_count ./scripts/up": "tests/setup/processes/test_supervise.py",
    "./scripts/test": "scripts/test",
    "./scripts/check": "scripts/check",
    "./scripts/bench": "tests/bench/test_summary.py",
    "swallowtail web": "tests/journey/operation/test_processes.py",
    "rabbitmqctl": "tests/journey/deployment/test_rabbitmq_permissions.py",
    "./scripts/prepare": "tests/setup/test_prepare.py",
    "swallowtail release": "tests/browser/test_for_real.py",
    "swallowtail worker": "tests/browser/test_for_real.py",
    "swallowtail beat": "tests/browser/test_for_real.py",
    "python3 -m venv": "tests/packaging/test_distributions.py",
    "source .venv/bin/activate": "tests/packaging/test_distributions.py",
    "pip install": "tests/packaging/test_distributions.py",
    "swallowtail enqueue greeting": "tests/packaging/test_installed_server.py",
}
EXAMPLES = {
    "brief.md": "tests/journey/deployment/test_recipes.py",
    "nginx.conf": "tests/journey/delivery/test_nginx.py",
    "redis-users.acl": "tests/journey/deployment/test_redis_acl.py",
    "word_count.py": "tests/journey/deployment/test_recipes.py",
}
PASSWORD = "correct horse battery"
ANCHOR = "1287:5b0f…e1"
#: Where README begins to describe a deployment on several machines, which `tests/browser/test_for_real.py` follows.
FOR_REAL = "./scripts/prepare && source .venv/bin/activate"


def read_commands(page: Path, *, all_blocks: bool = True) -> list[str]:
    """The commands of a page, one string each, without their prompts, remarks and output."""
    matches = []
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.findall(text if all_blocks else NOT_RUN.sub("", text)):
        lines = re.sub(r"\\\n\s*", "", block).splitlines()
        matches += [re.sub(r"\s+# .*$", "", line.removeprefix("$ ")) for line in lines if line.startswith("$ ")]
    return matches


def is_elsewhere(command: str) -> bool:
    """Whether another test runs it."""
    return any(command.startswith(beginning) for beginning in ELSEWHERE)


def write_script(commands: list[str], port: int) -> str:
    """The commands as one script that stops at the first that fails; passwords are typed for those who are asked."""
    lines = ["set -eo pipefail", f"swallowtail() {{ command swallowtail \"$@\" <<< $'{PASSWORD}\\n{PASSWORD}'; }}"]
    for command in commands:
        ours = command.replace("localhost:8000", f"127.0.0.1:{port}").replace(ANCHOR, '"$anchor"')
        ours = ours.replace("https://agents.example.org", f"http://127.0.0.1:{port}")
        if ours.startswith("swallowtail watch"):
            # It runs until Ctrl-C.
            ours = f"timeout -s INT 10 {ours} || [ $? = 124 ]"
        if ours.startswith("swallowtail audit verify") and "$anchor" not in ours:
            ours = f"output=$({ours}); anchor=$(grep -o '^[0-9]*:[0-9a-f]*' <<< \"$output\")"
        lines += [f"echo {'=' * 3} {len(lines)}", ours]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def deployment(redis_binary: RedisBinary) -> Iterator[Deployment]:
    with Deployment(redis_binary=redis_binary, env={"agents": "examples.word_count"}) as deployment:
        deployment.start_worker(concurrency=2, wait=False)
        deployment.start_web(wait=False)
        for program in (*deployment.workers, *deployment.webs):
            program.wait_ready()
        yield deployment


def read_here(page: Path) -> list[str]:
    """The commands of a page that are run here: all but those of others, and of README's distributed deployment."""
    commands = read_commands(page, all_blocks=False)
    if page.name == "README.md" and page.parent == ROOT:
        commands = commands[: commands.index(FOR_REAL)]
    return [command for command in commands if not is_elsewhere(command)]


HERE = [page for page in PAGES if read_here(page)]


@pytest.mark.long
@pytest.mark.parametrize("page", HERE, ids=lambda page: page.name)
def test_the_commands_of_a_page_work_as_they_are_written(deployment: Deployment, page: Path) -> None:
    web = deployment.webs[0]
    script = write_script(read_here(page), web.port)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    own = {"PATH": path, "SWALLOWTAIL_TOKEN_FILE": str(deployment.root / "token")}
    done = subprocess.run(
        ["bash", "-c", script],
        env=clean_environment({**deployment.env, "SWALLOWTAIL_PORT": str(web.port), **own}),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def test_every_recipe_is_run_by_a_test() -> None:
    commands = [command for page in PAGES for command in read_commands(page)]
    unused = [beginning for beginning in ELSEWHERE if not any(command.startswith(beginning) for command in commands)]
    assert unused == []
    assert [file for file in (*ELSEWHERE.values(), *EXAMPLES.values()) if not (ROOT / file).exists()] == []
    assert sorted(EXAMPLES) == sorted(file.name for file in (ROOT / "examples").iterdir() if file.is_file())
