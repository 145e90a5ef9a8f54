"""A folder in which the tests run Swallowtail as a user without this repository does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.program import Program
from tests.harness.services import require
from tests.harness.system.distributions import FIRST_START, outside_environment
from tests.harness.system.ports import free_port


class Project:
    """The user's folder, the programs of its environment, and its processes. A file `.env` has its port."""

    def __init__(self, directory: Path, programs: Path) -> None:
        self.directory = directory
        self.programs = programs
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = outside_environment(directory)
        self.environment["PATH"] = f"{programs}{os.pathsep}{self.environment['PATH']}"
        (directory / ".env").write_text(f"SWALLOWTAIL_PORT={self.port}\n")

    @contextmanager
    def running(self, command: str) -> Iterator[Program]:
        """Run `swallowtail COMMAND` until it answers, and end it as Ctrl-C does."""
        arguments = [str(self.programs / "swallowtail"), command]
        log, env = self.directory / f"{command}.log", self.environment | {"PYTHONPATH": ""}
        program = Program(command, arguments, log=log, env=env, cwd=self.directory)
        try:
            program.start()
            program.wait_for_log("Ctrl-C stops everything", timeout=FIRST_START)
            yield program
            program.signal(signal.SIGINT)
            assert program.wait() == 0
        finally:
            program.kill()

    def submit(self, kind: str, task_input: dict[str, Any]) -> dict[str, Any]:
        """Submit a task over REST."""
        body = json.dumps({"kind": kind, "input": task_input}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1/instances/demo/tasks", body, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def run(self, *command: str) -> list[str]:
        """Run a command in the folder to its end; return its lines."""
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout.splitlines()

    def run_python(self, *arguments: str) -> list[str]:
        """Run a Python program with the environment's interpreter; return its lines."""
        return self.run(str(self.programs / "python"), *arguments)

    def run_node(self, *arguments: str) -> list[str]:
        """Run a JavaScript program; return its lines."""
        return self.run(require("node"), *arguments)
