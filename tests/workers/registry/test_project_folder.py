"""The agents of the folder that a process was started in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from swallowtail.workers.registry.catalogue import load_agents
from swallowtail.workers.registry.declaration import CatalogueError
from tests.harness.settings import make_settings

AGENT = """
from pydantic import BaseModel
from swallowtail import agent
class KindInput(BaseModel):
    pass
@agent(kind="KIND", title="Kind", input=KindInput)
def run(ctx, task_input):
    return 1
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")) or name == "agents":
            del sys.modules[name]


def write(folder: Path, name: str, kind: str = "", text: str = "") -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(AGENT.replace("KIND", kind) if kind else text)


def kinds() -> set[str]:
    """Return the kinds that the folder adds."""
    return set(load_agents(make_settings())) - set(load_agents(make_settings(find_agents=False)))


def test_agents_py_is_found_and_imports_its_neighbours(folder: Path) -> None:
    write(folder, "agents.py", "own")
    write(folder, "neighbour_of_agents.py", text="VALUE = 1")
    (folder / "agents.py").write_text((folder / "agents.py").read_text() + "\nfrom neighbour_of_agents import VALUE\n")
    assert kinds() == {"own"}


@pytest.mark.parametrize("initial", [True, False])
def test_the_modules_of_a_folder_are_found_without_its_tests(folder: Path, initial: bool) -> None:
    if initial:
        write(folder, "agents/__init__.py", "first")
    write(folder, "agents/one.py", "second")
    write(folder, "agents/helpers.py", text="VALUE = 1")
    write(folder, "agents/test_one.py", text="raise LookupError")
    write(folder, "agents/no-module.py", text="raise LookupError")
    assert kinds() == ({"first", "second"} if initial else {"second"})


def test_a_module_that_the_setting_names_too_is_loaded_once(folder: Path) -> None:
    write(folder, "agents.py", "own")
    assert "own" in load_agents(make_settings(agents="agents"))


def test_the_setting_turns_it_off(folder: Path) -> None:
    write(folder, "agents.py", text="raise LookupError")
    assert "echo" in load_agents(make_settings(find_agents=False))


def test_a_module_without_agents_is_named(folder: Path) -> None:
    write(folder, "agents.py", text="VALUE = 1")
    with capture_logs() as lines:
        assert kinds() == set()
    assert [line["files"] for line in lines if line["event"] == "no_agents_in_folder"] == [[str(folder / "agents.py")]]


def test_an_imported_package_of_the_same_name_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "agents.py", "own")
    other = type(sys)("agents")
    other.__file__ = "/elsewhere/agents.py"
    monkeypatch.setitem(sys.modules, "agents", other)
    with pytest.raises(CatalogueError, match=r"belongs to /elsewhere/agents\.py; rename yours"):
        load_agents(make_settings())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def broken(:", "SyntaxError: invalid syntax (agents.py, line 1)"),
        ("import os\nimport no_such_thing", "No module named 'no_such_thing' (agents.py, line 2)"),
        ("import sys\n\nsys.exit('bye')", "SystemExit: bye (agents.py, line 3)"),
        ("def f():\n    1 / 0\nf()", "ZeroDivisionError: division by zero (agents.py, line 2)"),
    ],
)
def test_an_error_names_the_file_the_line_and_the_remedy(folder: Path, text: str, reason: str) -> None:
    write(folder, "agents.py", text=text)
    with pytest.raises(CatalogueError) as refused:
        load_agents(make_settings())
    message = refused.value.message
    assert message.startswith(f"{folder / 'agents.py'}: cannot be loaded: ")
    assert message.endswith(f"{reason}; fix it, or set SWALLOWTAIL_FIND_AGENTS=false")
