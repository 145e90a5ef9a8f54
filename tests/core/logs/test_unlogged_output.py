"""Output of a process that bypasses its streams is JSON too if logs are JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from swallowtail.app.core.logs import descriptor_capture

BEGIN = "from swallowtail.app.core.logs.unlogged_output import begin; begin(); import os, sys, subprocess\n"


def _run(program: str, **more: str) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        env={**os.environ, "SWALLOWTAIL_LOG_FORMAT": "json", **more},
        capture_output=True,
        text=True,
        timeout=60,
    )
    output, errors = ([json.loads(line) for line in text.splitlines()] for text in (done.stdout, done.stderr))
    return done.returncode, output, errors


def test_a_crash_of_the_interpreter_is_logged_as_json() -> None:
    code, output, errors = _run("print('before'); os.abort()", PYTHONFAULTHANDLER="1")
    assert code < 0
    assert [line["event"] for line in output] == ["before"]
    assert errors[0]["event"] == "Fatal Python error: Aborted"
    assert {(line["logger"], line["level"]) for line in errors} == {("stderr", "warning")}


def test_a_fault_before_logging_is_set_up_is_one_object() -> None:
    _, _, [line] = _run("raise LookupError('early')")
    assert (line["event"], line["level"]) == ("uncaught_exception", "critical")
    assert line["exception"].endswith("LookupError: early")


def test_started_programs_write_json_to_any_output() -> None:
    _, output, errors = _run(
        "subprocess.run(['printf', 'one\\\\n\\\\ntwo']); subprocess.run(['echo', 'three'], stdout=sys.stderr)"
    )
    assert [line["event"] for line in output] == ["one", "two"]
    assert [line["event"] for line in errors] == ["three"]


def test_nested_processes_write_each_line_once_as_one_object() -> None:
    _, output, _ = _run(f"subprocess.run([sys.executable, '-c', {BEGIN + 'print(1); os.write(1, bytes([50, 10]))'!r}])")
    assert sorted(line["event"] for line in output) == ["1", "2"]
    assert all("event" in line for line in output)


def test_a_json_object_is_unchanged_and_other_lines_become_objects() -> None:
    assert descriptor_capture.encode(b'{"event":"x"}', "stderr", "warning") == b'{"event":"x"}\n'
    for line in (b"{not json", b"[1]", b"\xff\x00", b"{" * 10_000 + b"}" * 10_000):
        entry = json.loads(descriptor_capture.encode(line, "stderr", "warning"))
        assert entry["event"] == line.decode(errors="replace")


def test_secrets_in_lines_past_logging_are_hidden_by_their_shape() -> None:
    _, _, [line] = _run("os.write(2, b'connect to redis://user:hush-hush@cache failed: password=hunter2222, retry\\n')")
    assert line["event"] == (
        "connect to redis://user:[redacted:password]@cache failed: password=[redacted:secret], retry"
    )
