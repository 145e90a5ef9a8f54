"""Log lines for people and for machines."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog

from swallowtail.app.core.logs.setup import configure_logging
from tests.harness.settings import make_settings


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Restore the logging configuration of the test run."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(tmp_path: Path, **settings: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(make_settings(var_dir=tmp_path, **settings), stream)
    return stream


def test_a_machine_reads_one_object_per_line(tmp_path: Path) -> None:
    stream = lines(tmp_path, log_format="json")
    with structlog.contextvars.bound_contextvars(task_id="t1", attempt=2):
        structlog.get_logger("ours").info("step_started", step="plan")
        logging.getLogger("theirs").warning("careful: %s", "hot")
    first, second = map(orjson.loads, stream.getvalue().splitlines())
    assert first == {
        "event": "step_started",
        "step": "plan",
        "task_id": "t1",
        "attempt": 2,
        "level": "info",
        "logger": "ours",
        "timestamp": first["timestamp"],
    }
    assert (second["event"], second["level"], second["task_id"]) == ("careful: hot", "warning", "t1")


def test_a_traceback_shows_no_local_variables(tmp_path: Path) -> None:
    stream = lines(tmp_path)
    key = "secret"
    try:
        raise LookupError("broken")
    except LookupError:
        structlog.get_logger("ours").exception("failed")
    assert "LookupError: broken" in stream.getvalue()
    assert key not in stream.getvalue()


def test_less_is_logged_when_less_is_wanted(tmp_path: Path) -> None:
    stream = lines(tmp_path, log_level="ERROR")
    structlog.get_logger("ours").warning("quiet")
    logging.getLogger("kombu").warning("quiet")
    assert stream.getvalue() == ""
    lines(tmp_path)
    assert logging.getLogger("kombu").level == logging.WARNING


@pytest.mark.parametrize("shape", ["json", "console"])
def test_no_secret_is_logged_by_us_by_libraries_or_in_tracebacks(tmp_path: Path, shape: str) -> None:
    stream = lines(tmp_path, log_format=shape)
    token = "ghp_" + "a1B2" * 9
    structlog.get_logger("ours").info("called", url="redis://app:hunter2@db", password="hunter2", deep=[{"api_key": 7}])
    logging.getLogger("theirs").warning("sent Authorization: Bearer %s", token)
    try:
        raise LookupError(f"no {token} here")
    except LookupError:
        structlog.get_logger("ours").exception("failed")
    logged = stream.getvalue()
    assert "hunter2" not in logged
    assert token not in logged
    assert "redis://app:[redacted:password]@db" in logged
    assert "no [redacted:token] here" in logged


def test_a_value_that_cannot_be_printed_is_named_but_not_logged(tmp_path: Path) -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError

    stream = lines(tmp_path, log_format="json")
    structlog.get_logger("ours").info("called", thing=Broken())
    assert orjson.loads(stream.getvalue())["event"] == "unloggable"


def test_a_line_that_cannot_be_written_breaks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = lines(tmp_path)
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    structlog.get_logger("ours").info("step_started")
    logging.getLogger("theirs").warning("careful")
