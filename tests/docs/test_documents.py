"""Every block of code in the documents runs as written, on one system."""

from __future__ import annotations

import ast
import configparser
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import DOCUMENTS, OTHERS, PROGRAMS, RUN, Block, read_blocks
from tests.docs.console import ELSEWHERE, STARTS, commands_here, is_elsewhere, is_output, run_commands
from tests.docs.programs import link_packages, run_program, write_agents
from tests.harness.program import ROOT, make_directory, remove_directory
from tests.harness.project.project import Project
from tests.harness.servers import RedisBinary, RedisServer

BLOCKS = read_blocks()
CONSOLE = read_blocks("console")
#: The blocks that a comment `<!-- not run: … -->` exempts: the document, and the first word of the code.
EXEMPT = [
    ("CONTRIBUTING.md", "data"),
    ("docs/deploy.md", "echo"),  # Docker
    ("docs/deploy.md", "useradd"),
    ("docs/deploy.md", "kubectl"),
    ("scripts/README.md", "def"),
]
#: The tests of the files in `examples/`.
EXAMPLES = {
    "brief.md": "tests/docs/test_documents.py",
    "nginx.conf": "tests/journey/delivery/test_nginx.py",
    "redis-users.acl": "tests/journey/deployment/test_redis_acl.py",
    "word_count.py": "tests/workers/agents/test_example_agent.py",
}


@pytest.mark.unit
def test_every_block_has_a_known_language() -> None:
    assert [str(block) for block in BLOCKS if block.language not in (*RUN, *OTHERS)] == []


@pytest.mark.unit
def test_no_other_block_is_exempt() -> None:
    exempt = [block for block in BLOCKS if block.reason]
    first_words = [re.findall(r"\w+", block.code)[0] for block in exempt]
    assert [*zip([str(one.document.relative_to(ROOT)) for one in exempt], first_words, strict=True)] == EXEMPT


@pytest.mark.unit
def test_every_block_of_python_json_and_ini_is_valid() -> None:
    for block in BLOCKS:
        if block.language == "python":
            ast.parse(block.code, str(block))
        elif block.language == "json":
            json.loads(block.code)
        elif block.language == "ini":
            configparser.ConfigParser().read_string(block.code)


@pytest.mark.unit
def test_every_command_is_run_here_or_by_a_test_that_exists() -> None:
    commands = [command for block in CONSOLE for command in block.commands]
    unused = [beginning for beginning in ELSEWHERE if not any(one.text.startswith(beginning) for one in commands)]
    assert unused == []
    assert [file for file in (*ELSEWHERE.values(), *EXAMPLES.values()) if not (ROOT / file).exists()] == []
    assert sorted(EXAMPLES) == sorted(file.name for file in (ROOT / "examples").iterdir() if file.is_file())
    not_compared = [one.text for one in commands if one.output and is_elsewhere(one.text) and one.text not in STARTS]
    assert not_compared == []


@pytest.mark.unit
@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("done\n", "done\n", True),
        ("done\n", "done\nwarning: late\n", False),
        ("done\n…\n", "done\nwarning: late\n", True),
        ("one\n…\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("one\n…\nfive\n", "one\ntwo\nfour\n", False),
        ("10:00:00  Echo  QUEUED\n", "23:59:59  Echo  QUEUED\n", True),
        ("10:00:00  Echo  QUEUED\n", "23:59:59  Echo  FAILED\n", False),
        ("12:5b0f…e1\ndemo: 12 entries\n", "4:0a1b2c3d\ndemo: 4 entries\n", True),
        ("3 of 4 done\n", "2 of 4 done\n", False),
    ],
)
def test_only_what_varies_may_differ(shown: str, printed: str, same: bool) -> None:
    assert is_output(shown, printed) == same


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """`swallowtail up` in a folder with the agents of the documents and the examples."""
    directory = make_directory()
    project = Project(directory, Path(sys.executable).parent)
    write_agents(directory)
    link_packages(directory)
    shutil.copytree(ROOT / "examples", directory / "examples")
    (directory / ".venv").symlink_to(sys.prefix)
    with project.running("up"):
        yield project
    remove_directory(directory)


@pytest.mark.long
@pytest.mark.journey
def test_the_blocks_that_start_everything_show_its_output(project: Project) -> None:
    log = (project.directory / "up.log").read_text()
    shown = [command.output for block in CONSOLE for command in block.commands if command.text in STARTS]
    assert any(shown)
    assert [output for output in shown if output and not is_output(output, log)] == []


@pytest.mark.long
@pytest.mark.journey
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "document", [one for one in DOCUMENTS if commands_here(one)], ids=lambda one: str(one.relative_to(ROOT))
)
def test_every_command_works_and_prints_what_its_block_shows(project: Project, document: Path) -> None:
    failures = run_commands(commands_here(document), project)
    assert not failures, "\n\n".join(failures)


@pytest.mark.long
@pytest.mark.journey
@pytest.mark.parametrize("block", [one for one in BLOCKS if one.is_run and one.language in PROGRAMS], ids=str)
def test_every_program_runs(project: Project, block: Block, redis_tcp: RedisServer) -> None:
    run_program(block, project, redis_tcp.url)


@pytest.fixture(scope="module")
def redis_tcp(redis_binary: RedisBinary) -> Iterator[RedisServer]:
    """A Redis for the block that sends to one."""
    directory = make_directory()
    with RedisServer(directory, binary=redis_binary, tcp=True).start() as redis:
        yield redis
    remove_directory(directory)
