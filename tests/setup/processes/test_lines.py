"""The output that the supervisor prints of its processes."""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import time

import pytest
from rich.console import Console

from swallowtail.app.core.logs.unlogged_output import LineStream
from swallowtail.app.core.process.child_process import LineSplitter
from swallowtail.scripts.processes.process_output import ProcessOutput


def shown(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [re.sub(r"^\d\d:\d\d:\d\d", "TIME", line) for line in console.file.getvalue().splitlines()]


def test_each_line_carries_its_process() -> None:
    console = Console(file=io.StringIO(), width=20)
    lines = ProcessOutput(["web", "worker"], console)
    lines.show("web", "[bold]not markup[/bold] and longer than the terminal is wide")
    lines.print_line("one\ntwo")
    assert shown(console) == [
        "TIME web    | [bold]not markup[/bold] and longer than the terminal is wide",
        "TIME up     | one",
        "TIME up     | two",
    ]


def log_in_a_process() -> str:
    """Return a log line as a process of ours writes it."""
    code = """if True:
        import logging, sys
        from swallowtail.app.core.config.settings import Settings
        from swallowtail.app.core.logs.setup import configure_logging
        configure_logging(Settings(), sys.stdout)
        logging.getLogger("some.library").warning("disk %s", "full")
    """
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.rstrip()


def test_a_line_that_begins_with_its_time_has_no_second_one(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(time.tzset)
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    console = Console(file=io.StringIO(), width=200)
    ProcessOutput(["web"], console).show("web", "2026-11-28T23:59:58.500000Z [info     ] started")
    ProcessOutput(["web"], console).show("web", log_in_a_process())
    assert isinstance(console.file, io.StringIO)
    first, second = console.file.getvalue().splitlines()
    assert first == "01:59:58 web | [info     ] started"
    assert re.fullmatch(r"\d\d:\d\d:\d\d web \| \[warning  \] disk full +\[some.library\]", second)


def test_lines_are_complete_for_any_split_of_the_bytes() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"fir") == []
    assert splitter.feed("st\r\nzwölf\nla".encode()) == ["first", "zwölf"]
    assert splitter.feed(b"st") == []
    assert splitter.feed(b"") == ["last"]
    assert splitter.feed(b"") == []


def test_bytes_that_are_not_text_are_accepted() -> None:
    assert LineSplitter().feed(b"\xff\x00ok\n") == ["\ufffd\x00ok"]


def test_an_endless_line_is_passed_on_in_pieces() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"x" * (LineSplitter.LONGEST + 1)) == ["x" * (LineSplitter.LONGEST + 1)]


def test_where_logs_are_json_each_line_is_an_object_with_the_process_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = io.StringIO()
    monkeypatch.setattr(sys, "stdout", LineStream(real, "stdout", logging.INFO))
    lines = ProcessOutput(["web", "redis"])
    lines.show("web", '{"event":"step_started","level":"info"}')
    lines.show("redis", "Ready to accept connections")
    lines.print_line("stopping\nstopped")
    received = [json.loads(line) for line in real.getvalue().splitlines()]
    assert received[0] == {"event": "step_started", "level": "info", "process": "web"}
    assert [(line["process"], line["event"]) for line in received[1:]] == [
        ("redis", "Ready to accept connections"),
        ("up", "stopping"),
        ("up", "stopped"),
    ]
