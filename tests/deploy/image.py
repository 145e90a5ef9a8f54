"""Runs the Dockerfile and the compose file without a container engine: the same commands, user, order and environment.

Paths of the image lie below a fresh directory. The test starts the servers that the compose file names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml
from dockerfile_parse import DockerfileParser

from tests.harness.program import ROOT, Program

#: The system's interpreter: the image's user can execute it, wherever the tests' own one lies.
PYTHON = "/usr/bin/python3"
#: Directories of the image.
PLACES = ("/opt/swallowtail", "/srv/swallowtail", "/src")
_VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


class Image:
    """An image below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.env: dict[str, str] = {}
        self.user = ""
        self.directory = ""
        self.command: list[str] = []
        self.health: list[str] = []

    def build(self) -> None:
        """Carry the Dockerfile out, instruction by instruction."""
        subprocess.run([PYTHON, "-m", "venv", self.root / "base"], check=True)
        with (ROOT / "Dockerfile").open("rb") as file:
            instructions = DockerfileParser(fileobj=file).structure
        for instruction in instructions:
            name, value = instruction["instruction"], self.place(instruction["value"])
            act = getattr(self, f"_{name.lower()}", None)
            if act is not None:
                act(value)

    def place(self, text: str) -> str:
        """Return a text with the image's directories below this one."""
        for path in PLACES:
            text = re.sub(rf"(?<![\w/]){path}(?![\w-])", str(self.root) + path, text)
        return text

    def run_user(self) -> list[str]:
        """Return what makes a command run as the image's user; nothing where this user may not."""
        if os.geteuid() != 0:
            return []
        uid, gid = self.user.split(":")
        return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]

    def _workdir(self, value: str) -> None:
        self.directory = value
        Path(value).mkdir(parents=True, exist_ok=True)

    def _copy(self, value: str) -> None:
        if value != ". .":
            assert value.startswith("--from=build "), value
            return
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        pack = ["tar", "--null", "--files-from=-", "--create"]
        packed = subprocess.run(pack, cwd=ROOT, input=files.stdout, capture_output=True, check=True).stdout
        subprocess.run(["tar", "--extract", "-C", self.directory], input=packed, check=True)

    def _run(self, value: str) -> None:
        if value.startswith("useradd "):
            # No user is added to this machine: the directory gets the number.
            uid = value.split()[value.split().index("--uid") + 1]
            home = Path(value.split()[value.split().index("--home-dir") + 1])
            home.mkdir(parents=True)
            if os.geteuid() == 0:
                os.chown(home, int(uid), int(uid))
            return
        # uv makes an environment of a system's Python only.
        path = f"{self.root}/base/bin:{Path(PYTHON).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-ec", value],
            cwd=self.directory,
            env={**os.environ, "PATH": path, "PIP_NO_CACHE_DIR": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]

    def _env(self, value: str) -> None:
        pairs = re.findall(r'(\w+)=("[^"]*"|\S+)', value)
        self.env |= {key: content.strip('"').replace("$PATH", "/usr/bin:/bin") for key, content in pairs}

    def _user(self, value: str) -> None:
        self.user = value

    def _healthcheck(self, value: str) -> None:
        self.health = json.loads(value.partition("CMD ")[2])

    def _cmd(self, value: str) -> None:
        self.command = json.loads(value)


class Services:
    """The services of the compose file that run our image, with addresses of this machine."""

    def __init__(self, image: Image, addresses: dict[str, str], secrets: dict[str, str], ports: dict[str, int]) -> None:
        self.image = image
        self.ports = ports
        self._addresses = addresses
        text = _VARIABLE.sub(lambda match: secrets.get(match[1], match[3] or ""), (ROOT / "compose.yaml").read_text())
        self.all: dict[str, Any] = yaml.safe_load(text)["services"]

    def in_order(self) -> list[str]:
        """Return the services, each after those that it depends on."""
        order: list[str] = []

        def add(name: str) -> None:
            for before in self.all[name].get("depends_on", {}):
                add(before)
            if name not in order:
                order.append(name)

        for name in self.all:
            add(name)
        return order

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service's processes."""
        env = {**self.image.env, **self.all[name].get("environment", {})}
        for address, own in self._addresses.items():
            env = {key: value.replace(address, own) for key, value in env.items()}
        port = str(self.ports.get(name, 0) or env["SWALLOWTAIL_PORT"])
        # Not all addresses of this machine.
        return {
            **env,
            "SWALLOWTAIL_HOST": "127.0.0.1",
            "SWALLOWTAIL_PORT": port,
            "PYTHONPATH": "",
            "HOME": self.image.directory,
        }

    def start(self, name: str) -> Program:
        """Start a service as the image's user, in the image's directory."""
        command = [*self.image.run_user(), *self.all[name].get("command", self.image.command)]
        log = self.image.root / f"{name}.log"
        directory = Path(self.image.directory)
        env = self.environment(name)
        return _Service(name, ["env", f"PATH={env['PATH']}", *command], log=log, env=env, cwd=directory).start()

    def is_healthy(self, name: str) -> bool:
        """Run the image's health check in a service."""
        env = self.environment(name)
        command = ["env", f"PATH={env['PATH']}", *self.image.run_user(), *self.image.health]
        return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


class _Service(Program):
    """One service."""
