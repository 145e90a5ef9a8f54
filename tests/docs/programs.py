"""Runs the blocks of Python and JavaScript in the documents."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.docs.blocks import Block, read_blocks
from tests.harness.program import ROOT, Program
from tests.harness.project.project import Project
from tests.harness.services import require
from tests.harness.waiting import GaveUp, wait_until

#: What a block without imports begins with: the document shows the rest above it, or the page has loaded it.
PRELUDE = 'import { io } from "socket.io-client";\n'
#: Seconds that a program which has shown something may go on before it counts as one that goes on for ever.
LONGEST = 5.0
_FUTURE = "from __future__ import annotations\n"


def write_agents(directory: Path) -> None:
    """Write the agents of the documents, each of which is a module, into a folder `agents`."""
    (directory / "agents").mkdir()
    agents = dict.fromkeys(block.code for block in read_blocks("python") if "@agent(" in block.code and block.is_run)
    for number, code in enumerate(agents):
        (directory / f"agents/agent_{number}.py").write_text(code, encoding="utf-8")


def link_packages(directory: Path) -> None:
    """Give a folder the npm packages that the blocks import."""
    modules = directory / "node_modules"
    modules.mkdir()
    (modules / "swallowtail-client").symlink_to(ROOT / "clients/javascript")
    for name in ("react", "socket.io-client"):
        (modules / name).symlink_to(ROOT / "node_modules" / name)


def run_program(block: Block, project: Project, redis_url: str) -> None:
    """Run a block until it ends or shows an event. Fails if it does neither, or ends with an error."""
    command = _write(block, project, block.code.replace("http://localhost:8000", project.url), redis_url)
    log = project.directory / f"{block.document.name}-{block.line}.log"
    with Program(str(block), command, log=log, env=project.environment, cwd=project.directory) as program:

        def has_shown() -> bool:
            project.submit("echo", {"message": "for those that watch"})
            return not program.is_running or program.log_text() != ""

        wait_until(has_shown, f"{block} ends or shows an event", every=0.5)
        with contextlib.suppress(GaveUp):
            wait_until(lambda: not program.is_running, "it ends", timeout=LONGEST)
        assert program.returncode in (0, None), program.log_text()
        assert "Traceback" not in program.log_text()


def _write(block: Block, project: Project, code: str, redis_url: str) -> list[str]:
    """Write a block as a program; return its command."""
    file = project.directory / "snippet"
    if block.language == "python":
        earlier = [] if "http://" in code else _defined_before(block)
        code = "\n\n".join([*earlier, code]).replace("redis://…", redis_url)
        file.with_suffix(".py").write_text(code, encoding="utf-8")
        return [str(project.programs / "python"), "-u", "snippet.py"]
    code = code if "import " in code else PRELUDE + code
    if block.language == "jsx":
        file.with_suffix(".jsx").write_text(code, encoding="utf-8")
        options = ["--allowJs", "--jsx", "react-jsx", "--module", "esnext", "--target", "es2022", "--outDir", "out"]
        compiler = str(ROOT / "node_modules/typescript/bin/tsc")
        project.run_node(compiler, "snippet.jsx", *options, "--moduleResolution", "bundler", "--noCheck")
        code = (project.directory / "out/snippet.js").read_text(encoding="utf-8")
    file.with_suffix(".mjs").write_text(code, encoding="utf-8")
    return [require("node"), "snippet.mjs"]


def _defined_before(block: Block) -> list[str]:
    """Return the blocks of Python above this one in its document, without imports from the future."""
    return [
        item.code.replace(_FUTURE, "")
        for item in read_blocks("python")
        if item.document == block.document and item.is_run and item.line < block.line
    ]
