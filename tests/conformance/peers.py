"""The tested servers as processes: Swallowtail in each mode, stock Flask-SocketIO, Node's socket.io."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conformance.line import PAGE
from tests.harness.deployment import Deployment, variables
from tests.harness.processes import WebProcess
from tests.harness.program import ROOT, Program
from tests.harness.services import require
from tests.harness.system.ports import answers, free_port

#: Where the packages of Node's server are installed by its own lock file.
NODE = ROOT / "bench/peers"


class EchoWeb(WebProcess):
    """Our web process, with the events that the documents' suites ask for."""

    def __init__(self, deployment: Deployment, name: str, env: Mapping[str, object]) -> None:
        super().__init__(name, deployment.root, {**deployment.env, **variables(env)})
        self.command = [sys.executable, "-m", "tests.conformance.echo_web"]


class EchoNode(Program):
    """Node's socket.io, of the version in the benchmark's lock file; installed at its first use."""

    def __init__(self, directory: Path, connect_timeout: float) -> None:
        if not (NODE / "node_modules/socket.io").is_dir():
            subprocess.run([require("npm"), "ci", "--silent", "--prefix", str(NODE)], check=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        env = {"ECHO_PORT": str(self.port), "ECHO_CONNECT_TIMEOUT": str(int(connect_timeout * 1000))}
        env["ECHO_PAGE"] = PAGE
        program = [require("node"), str(NODE / "node_echo.mjs")]
        super().__init__("node", program, log=directory / "node.log", env=env, cwd=directory)

    def ready(self) -> bool:
        """It accepts connections."""
        return answers(self.port)
