"""Runs the console blocks of the documents, and compares what their commands print with what the blocks show."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
from pathlib import Path

from tests.docs.blocks import Command, read_blocks, read_commands
from tests.harness.program import ROOT
from tests.harness.project.project import Project
from tests.harness.system.process_guard import kill_session

#: Commands that start the system of the test: its log is their output.
STARTS = ("./scripts/up", "swallowtail up")
#: Commands that other tests run, and those that are the tests themselves, by how they begin.
ELSEWHERE = {
    "./scripts/up": "tests/setup/processes/test_supervise.py",
    "swallowtail up": "tests/docs/test_documents.py",
    "swallowtail dev": "tests/setup/processes/test_dev.py",
    "swallowtail init": "tests/setup/processes/test_new_project.py",
    "SWALLOWTAIL_AGENTS=examples.word_count ./scripts/up": "tests/workers/agents/test_example_agent.py",
    "./scripts/test": "scripts/test",
    "./scripts/check": "scripts/check",
    "./scripts/bench": "tests/bench/test_summary.py",
    "swallowtail web": "tests/journey/operation/test_processes.py",
    "rabbitmqctl": "tests/journey/deployment/test_rabbitmq_permissions.py",
    "swallowtail release": "tests/browser/test_for_real.py",
    "swallowtail worker": "tests/browser/test_for_real.py",
    "swallowtail beat": "tests/browser/test_for_real.py",
    "python3 -m venv": "tests/packaging/test_distributions.py",
    "source .venv/bin/activate": "tests/packaging/test_distributions.py",
    "pip install": "tests/packaging/test_distributions.py",
    "npm install swallowtail-client": "tests/browser/stranger/test_new_user.py",
}
#: Where README begins to describe a deployment on several machines, which `tests/browser/test_for_real.py` follows.
FOR_REAL = "pip install 'swallowtail[server,postgres]'"
#: What differs from run to run, and what stands for it in the comparison.
VARYING = {
    r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "<id>",
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?": "<time>",
    r"\b\d\d:\d\d:\d\d\b": "<time>",
    r"\b\d+:[0-9a-f]+(…[0-9a-f]+)?(?![\w:])": "<anchor>",
    r"http://(127\.0\.0\.1|localhost):\d+": "<address>",
    r"\b\d+(?= entries)": "<count>",
    r"(?<=swallowtail )\d+\.\d+\.\d+": "<version>",
}
#: The terminal that the documents show. In the output of both streams, lines keep their order.
TERMINAL = {"TERM": "dumb", "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
PASSWORD = "correct horse battery"
_ANCHOR = re.compile(r"\b\d+:[0-9a-f]+…[0-9a-f]+")


def is_elsewhere(command: str) -> bool:
    """Whether another test runs it."""
    return command.startswith(tuple(ELSEWHERE))


def commands_here(document: Path) -> list[Command]:
    """Return the commands of a document that are run here: all but others' and README's distributed deployment."""
    blocks = [block for block in read_blocks("console") if block.document == document and block.is_run]
    commands = [command for block in blocks for command in block.commands]
    if document == ROOT / "README.md":
        commands = commands[: read_commands(document).index(FOR_REAL)]
    return [command for command in commands if not is_elsewhere(command.text)]


def run_commands(commands: list[Command], project: Project) -> list[str]:
    """Run commands as one script in the folder of a project; return what is wrong with them."""
    code, output = _run_in_terminal(write_script([command.text for command in commands], project.port), project)
    printed = re.split(r"^=== next\n", output, flags=re.M)[1:]
    if code != 0:
        return [f"$ {commands[len(printed) - 1].text}\nended with {code}:\n{printed[-1]}"]
    return [
        f"$ {command.text}\nshows:\n{command.output}\nbut printed:\n{output}"
        for command, output in zip(commands, printed, strict=True)
        if command.output and not is_output(command.output, output)
    ]


def _run_in_terminal(script: str, project: Project) -> tuple[int, str]:
    """Run a script in a terminal that knows no colours; return its exit code and what the terminal got."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", script],
        env={**project.environment, **TERMINAL},
        cwd=project.directory,
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    output = b""
    try:
        # Linux reports the end as an error.
        with os.fdopen(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
            while part := terminal.read(65_536):
                output += part
        return process.wait(), output.decode().replace("\r\n", "\n")
    finally:
        kill_session(process.pid)
        process.wait()


def write_script(commands: list[str], port: int) -> str:
    """Return one script that stops at the first command that fails; passwords are typed for those who are asked."""
    lines = ["set -eo pipefail", f"swallowtail() {{ command swallowtail \"$@\" <<< $'{PASSWORD}\\n{PASSWORD}'; }}"]
    for command in commands:
        ours = re.sub(r"localhost:8000|https://agents\.example\.org", f"http://127.0.0.1:{port}", command)
        ours = _ANCHOR.sub('"$anchor"', ours)
        if ours.startswith("swallowtail watch"):
            # It runs until Ctrl-C.
            ours = f"timeout -s INT 10 {ours} || [ $? = 124 ]"
        if ours.startswith("swallowtail audit verify") and "$anchor" not in ours:
            ours = f'output=$({ours} 2>&1); echo "$output"; anchor=$(grep -o "^[0-9]*:[0-9a-f]*" <<< "$output")'
        lines += ["echo === next", ours]
    return "\n".join(lines) + "\n"


def is_output(shown: str, printed: str) -> bool:
    """Whether a program that printed this did what a document shows; a line `…` there stands for any lines."""
    lines = [re.escape(line) + "\n" for line in _without_varying(shown)]
    pattern = "".join(r"(?:.*\n)*?" if line == re.escape("…") + "\n" else line for line in lines)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _without_varying(printed))) is not None


def _without_varying(text: str) -> list[str]:
    for pattern, name in VARYING.items():
        text = re.sub(pattern, name, text)
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    # A bar that is removed leaves an empty line.
    return [line for line, before in zip(lines, [None, *lines], strict=False) if line or before != ""]
