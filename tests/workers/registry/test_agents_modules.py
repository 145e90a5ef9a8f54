"""Agent modules that misbehave while they are imported are named and cannot affect the process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from structlog.testing import capture_logs

from swallowtail.extras import MODULES
from swallowtail.workers.registry.catalogue import load_agents
from swallowtail.workers.registry.declaration import CatalogueError
from tests.harness.settings import make_settings

AGENT = """
from pydantic import BaseModel
from swallowtail.workers.registry.declaration import agent
class AnswerInput(BaseModel):
    pass
@agent(kind="moved", title="Moved", input=AnswerInput)
def moved(ctx, task_input):
    return 1
"""
FAULTS = {
    "import sys; sys.exit(0)": "SystemExit: 0",
    "import sys; sys.exit()": "SystemExit",
    "import sys; sys.exit('good bye')": "SystemExit: good bye",
    "raise KeyboardInterrupt": "KeyboardInterrupt",
    "raise GeneratorExit": "GeneratorExit",
    "import no_such_thing": "ModuleNotFoundError: No module named 'no_such_thing'",
    "def broken(:": "SyntaxError: invalid syntax",
    "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute": "Mute",
    "import asyncio; raise asyncio.CancelledError": "CancelledError",
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a module that can be imported; return its name."""
    place = tmp_path / "modules"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))

    def make(source: str) -> str:
        name = f"module_{len(list(place.iterdir()))}_of_{os.getpid()}"
        (place / f"{name}.py").write_text(source)
        return name

    yield make
    for name in [name for name in sys.modules if name.endswith(f"_of_{os.getpid()}")]:
        del sys.modules[name]


@pytest.mark.parametrize("source", FAULTS)
def test_a_module_that_cannot_be_imported_is_named_with_its_remedy(write: Callable[[str], str], source: str) -> None:
    name = write(source)
    with pytest.raises(CatalogueError) as refused:
        load_agents(make_settings(agents=name))
    message = refused.value.message
    assert message.startswith(f"SWALLOWTAIL_AGENTS: {name}: cannot be loaded: {FAULTS[source]}")
    assert message.endswith("; fix the module, or remove it from SWALLOWTAIL_AGENTS")


@pytest.mark.parametrize("place", ["", "gone"])
def test_a_module_that_changes_the_directory_does_not_affect_the_process(
    write: Callable[[str], str], tmp_path: Path, place: str
) -> None:
    here, there = os.getcwd(), str(tmp_path / place)
    leave = f"import os\nos.makedirs({there!r}, exist_ok=True)\nos.chdir({there!r})"
    remove = "os.rmdir(os.getcwd())" if place else ""
    assert "moved" in load_agents(make_settings(agents=write("\n".join([AGENT, leave, remove]))))
    assert os.getcwd() == here
    with pytest.raises(CatalogueError, match="LookupError"):
        load_agents(make_settings(agents=write("\n".join([leave, remove, "raise LookupError"]))))
    assert os.getcwd() == here


def test_paths_are_those_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = tmp_path / "50%?"
    start.mkdir()
    monkeypatch.chdir(start)
    own = make_settings(var_dir="state", agents="")
    named = [make_settings(database_url=f"sqlite:///{name}") for name in ("a.db", "./a.db?timeout=5")]
    monkeypatch.chdir("/")
    assert own.var == start / "state"
    assert own.database_file == start / "state/swallowtail.db"
    for settings in named:
        assert settings.database_file == start / "a.db"
        assert make_url(settings.database).database is not None


def test_an_agent_of_ours_is_absent_without_its_extra_and_a_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(MODULES, "campaign", "no_such_library")
    with capture_logs() as lines:
        assert "social_campaign" not in load_agents(make_settings())
    assert [line["reason"] for line in lines if line["event"] == "agent_absent"] == [
        "social_campaign needs the demo team's packages: pip install 'swallowtail[campaign]'"
    ]
