"""The base installation stays small, and what it promises imports none of the server's libraries."""

from __future__ import annotations

import re
import subprocess
import sys
from configparser import ConfigParser
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.harness.program import ROOT

pytestmark = pytest.mark.unit

#: Begins a process in which only the libraries of the base installation can be imported.
BASE_ONLY = """
import sys

class BaseOnly:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, BaseOnly())
"""


def plain(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()


def find_base() -> set[str]:
    """Return the distributions that `pip install swallowtail` installs besides itself."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    pending = [Requirement(line) for line in setup["options"]["install_requires"].strip().splitlines()]
    closure: set[str] = set()
    while pending:
        wanted = pending.pop()
        if (wanted.marker is None or wanted.marker.evaluate({"extra": ""})) and plain(wanted.name) not in closure:
            closure.add(plain(wanted.name))
            pending += [Requirement(line) for line in requires(wanted.name) or []]
    return closure


def run_on_base(code: str, directory: Path) -> str:
    """Run code where only the base installation's libraries can be imported; return what it prints."""
    base = find_base()
    absent = {top for top, names in packages_distributions().items() if base.isdisjoint(map(plain, names))}
    absent = {top for top in absent if not top.startswith("__editable__")} - {"swallowtail", "_distutils_hack"}
    code = BASE_ONLY.format(absent=absent) + code
    done = subprocess.run([sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_base_installation_has_fewer_than_25_packages_beside_itself() -> None:
    assert len(find_base()) < 25


def test_an_agent_can_be_written_and_the_client_imported_without_the_server(tmp_path: Path) -> None:
    code = """
from pydantic import BaseModel
from swallowtail import Context, PermanentError, agent, client

class Letter(BaseModel):
    to: str

@agent(kind="greeting", title="Greeting", input=Letter)
def greet(ctx: Context, payload: Letter) -> str:
    return "Dear " + payload.to

print(greet.agent_spec.kind, client.TaskWebSocketClient.__name__)
"""
    assert run_on_base(code, tmp_path) == "greeting TaskWebSocketClient\n"


def test_public_names_that_need_the_server_name_the_extra(tmp_path: Path) -> None:
    code = """
for name in ("signals", "testing"):
    try:
        exec(f"from swallowtail import {name}")
    except ImportError as error:
        print(error)
"""
    assert run_on_base(code, tmp_path) == (
        "swallowtail.signals needs the server's packages: pip install 'swallowtail[server]'\n"
        "swallowtail.testing needs the server's packages: pip install 'swallowtail[server]'\n"
    )
