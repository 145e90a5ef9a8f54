"""Every block of Python and JavaScript in README.md, `docs/` and `clients/` runs against a deployment as it stands."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs.snippets import OTHERS, PROGRAMS, RUN, Snippet, read_snippets
from tests.harness.deployment import Deployment
from tests.harness.program import ROOT, clean_environment
from tests.harness.services import require

SNIPPETS = read_snippets()
#: The blocks that a comment `<!-- not run: … -->` exempts: the document, and the first word of the code.
EXEMPT = [
    ("docs/brokers.md", "rabbitmqctl"),
    ("docs/deploy.md", "echo"),  # Docker
    ("docs/deploy.md", "useradd"),
    ("docs/deploy.md", "kubectl"),
    ("docs/protocol.md", "SocketIO"),
    ("clients/javascript/README.md", "npm"),
]
#: Seconds after which a program that goes on has run.
PATIENCE = 8
#: What a block without imports begins with: the document shows the rest above it, or the page has loaded it.
PRELUDES = {"js": 'import { io } from "socket.io-client";\n'}


@pytest.mark.unit
def test_every_block_has_a_known_language() -> None:
    assert [str(snippet) for snippet in SNIPPETS if snippet.language not in (*RUN, *OTHERS)] == []


@pytest.mark.unit
def test_no_other_block_is_exempt() -> None:
    exempt = [snippet for snippet in SNIPPETS if snippet.reason]
    first_words = [re.findall(r"\w+", snippet.code)[0] for snippet in exempt]
    assert [*zip([str(one.document.relative_to(ROOT)) for one in exempt], first_words, strict=True)] == EXEMPT


@pytest.mark.unit
def test_every_block_of_python_and_json_is_valid() -> None:
    for snippet in SNIPPETS:
        if snippet.language == "python":
            ast.parse(snippet.code, str(snippet))
        elif snippet.language == "json":
            json.loads(snippet.code)


@pytest.fixture
def deployment(new_deployment: Callable[..., Deployment]) -> Deployment:
    """A deployment in a folder with the agents of the documents, which has the demo instance."""
    deployment = new_deployment()
    agents = [item.code for item in SNIPPETS if item.language == "python" and "@agent(" in item.code]
    (deployment.root / "agents.py").write_text(
        "\n\n".join(item.replace("from __future__ import annotations\n", "") for item in agents[1:])
    )
    shutil.copytree(ROOT / "examples", deployment.root / "examples")
    deployment.run(["-m", "swallowtail.workers.release"])
    modules = deployment.root / "node_modules"
    modules.mkdir()
    (modules / "swallowtail-client").symlink_to(ROOT / "clients/javascript")
    for name in ("react", "socket.io-client"):
        (modules / name).symlink_to(ROOT / "node_modules" / name)
    deployment.start_worker(concurrency=2, wait=False)
    deployment.start_web(wait=False)
    for program in (*deployment.webs, *deployment.workers):
        program.wait_ready()
    return deployment


@pytest.mark.long
@pytest.mark.journey
@pytest.mark.timeout(600)
def test_every_block_runs(deployment: Deployment) -> None:
    failures = []
    for snippet in SNIPPETS:
        if snippet.is_run and snippet.language in PROGRAMS:
            failures += [f"{snippet}: {failure}" for failure in run_snippet(snippet, deployment)]
    assert not failures, "\n\n".join(failures)


def run_snippet(snippet: Snippet, deployment: Deployment) -> list[str]:
    """Run a block; return what failed."""
    code = snippet.code.replace("http://localhost:8000", deployment.webs[0].url)
    file = deployment.root / "snippet"
    if snippet.language == "python":
        earlier = [] if "http://" in code else defined_before(snippet)
        file.with_suffix(".py").write_text("\n\n".join([*earlier, code]))
        return run([sys.executable, "-u", "snippet.py"], deployment)
    prelude = "" if "import " in code else PRELUDES["js"]
    file.with_suffix(f".{snippet.language}").write_text(prelude + code)
    if snippet.language == "jsx":
        compiler = str(ROOT / "node_modules/typescript/bin/tsc")
        options = ["--allowJs", "--jsx", "react-jsx", "--module", "esnext", "--target", "es2022", "--outDir", "out"]
        run([require("node"), compiler, "snippet.jsx", *options, "--moduleResolution", "bundler"], deployment)
        (deployment.root / "out/package.json").write_text('{"type": "module"}')
        return run([require("node"), "out/snippet.js"], deployment)
    file.with_suffix(".js").rename(file.with_suffix(".mjs"))
    return run([require("node"), "snippet.mjs"], deployment)


def defined_before(snippet: Snippet) -> list[str]:
    """Return the blocks of Python above this one in its document, without imports from the future."""
    return [
        item.code.replace("from __future__ import annotations\n", "")
        for item in SNIPPETS
        if item.document == snippet.document and item.language == "python" and item.is_run and item.line < snippet.line
    ]


def run(command: list[str], deployment: Deployment) -> list[str]:
    """Run a program to its end, or until it has gone on for a while; return what failed."""
    web = deployment.webs[0]
    home = {"HOME": str(deployment.root), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    environment = clean_environment({**deployment.env, "SWALLOWTAIL_PORT": str(web.port), **home})
    try:
        done = subprocess.run(
            command,
            cwd=deployment.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as still:
        return [str(still.stderr)] if still.stderr and b"Traceback" in still.stderr else []
    return [] if done.returncode == 0 else [f"{command[-1]} ended with {done.returncode}: {done.stdout}{done.stderr}"]
