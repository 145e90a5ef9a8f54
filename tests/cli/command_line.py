"""Runs the `swallowtail` command in the process of the test, on a database of its own and its web application."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import typer.main
from flask import Flask
from typer.core import TyperGroup
from typer.testing import CliRunner, Result

from swallowtail.app.core.config.settings import load_settings
from swallowtail.app.core.ledger.agent_cards import AgentCard, register
from swallowtail.app.core.ledger.claims import Claim
from swallowtail.app.core.logs.setup import configure_logging
from swallowtail.app.core.queries.rows import read_task
from swallowtail.app.web.factory import create_app
from swallowtail.scripts.cli.lazy_commands import LazyCommand
from swallowtail.scripts.cli.main import app
from swallowtail.scripts.cli.remote import open_client, waiting
from tests.core.schedule_domain import Bench, open_bench

#: An agent that works on a document.
WRITER = AgentCard(
    kind="writer",
    title="Writer",
    description="Writes.\nSecond line.",
    version="1",
    input_schema={
        "type": "object",
        "properties": {
            "brief": {"type": "string", "minLength": 1, "x-file": True, "description": "What to write about."},
            "paper": {"type": "string", "contentEncoding": "base64", "x-file": "base64"},
            "platforms": {"type": "array", "items": {"type": "string"}},
            "rounds": {"type": "integer"},
            "brand": {"type": "object", "properties": {"name": {"type": "string"}, "grade": {"type": "number"}}},
        },
        "anyOf": [{"required": ["brief"]}, {"required": ["paper"]}],
        "additionalProperties": False,
    },
)


def load_commands() -> TyperGroup:
    """Return the group of all commands, each imported."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for name, command in [*group.commands.items()]:
        assert isinstance(command, LazyCommand)
        group.commands[name] = command.load()
    return group


class AppTransport(httpx2.BaseTransport):
    """Answers requests of commands with the web application that the environment's settings describe."""

    def __init__(self) -> None:
        self._built_with: dict[str, str] = {}
        self._app: Flask | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request, as the web process of these settings would."""
        variables = {name: value for name, value in os.environ.items() if name.startswith("SWALLOWTAIL_")}
        if self._app is None or variables != self._built_with:
            self.end()
            settings = load_settings()
            # A web process logs elsewhere than a command prints.
            configure_logging(settings.model_copy(update={"log_level": "CRITICAL"}))
            self._app, self._built_with = create_app(settings), variables
        return httpx2.WSGITransport(app=self._app.wsgi_app).handle_request(request)

    def end(self) -> None:
        """Close what the application opened."""
        if self._app is not None:
            self._app.extensions["swallowtail"].close()
            self._app = None


class CommandLine:
    """A prepared database, and the command that uses it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.runtime = bench.runtime
        register(self.runtime.db, [WRITER])

    def run(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        """Run the command to its end."""
        result = CliRunner().invoke(app, list(arguments), input=stdin, prog_name="swallowtail")
        assert "Traceback" not in result.output
        return result

    def lines(self, *arguments: str, stdin: str | None = None) -> list[dict[str, Any]]:
        """Run the command, which must succeed, and return the JSON objects that it printed."""
        result = self.run(*arguments, "--json", stdin=stdin)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]

    def submit(self, *arguments: str) -> str:
        """Submit a task for the echo agent; return its id."""
        (answer,) = self.lines("enqueue", "echo", "--instance", "demo", "--set", "message=hello", *arguments)
        task_id: str = answer["task"]["id"]
        return task_id

    def claim(self, task_id: str) -> Claim:
        """Start the task as a worker does."""
        with self.runtime.db.read() as session:
            attempt = read_task(session, task_id)["attempt"]
        claim = self.runtime.runs.claim(task_id, attempt + 1, "worker@test")
        assert claim is not None
        return claim

    def complete(self, task_id: str, result: Any = None) -> None:
        """Complete the task with one step."""
        claim = self.claim(task_id)
        self.runtime.runs.start_step(claim, "only", "Echo", "repeat")
        self.runtime.runs.finish_step(claim, "only", {"said": "hello"}, progress=100)
        self.runtime.runs.complete(claim, result)

    def fail(self, task_id: str) -> None:
        """Let the task fail."""
        claim = self.claim(task_id)
        self.runtime.runs.start_step(claim, "only", "Echo", "repeat")
        self.runtime.runs.fail(claim, {"code": "broken", "message": "it [bold]broke\x1b[2J"})


@contextmanager
def open_command_line(directory: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Iterator[CommandLine]:
    """Prepare a database in `directory` and change to it, with short timeouts for missing servers."""
    monkeypatch.chdir(directory)
    variables = {"VAR_DIR": directory, "SEND_TIMEOUT": 0.1, "PUBLISH_TIMEOUT": 0.1}
    for name, value in {**variables, "ASYNC_MODE": "threading", "LIMITS": "off"}.items():
        monkeypatch.setenv(f"SWALLOWTAIL_{name}", str(value))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(directory / "config"))
    monkeypatch.setattr(waiting, "SENT_WITHIN", 0.01)
    transport = AppTransport()
    monkeypatch.setattr(open_client, "transport", transport)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with open_bench(directory, **settings) as bench:
            yield CommandLine(bench)
    finally:
        transport.end()
        root.handlers[:], root.level = handlers, level
