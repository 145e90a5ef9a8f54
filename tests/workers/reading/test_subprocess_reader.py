"""Documents are read in a separate process, which ends when it exceeds its limits."""

from __future__ import annotations

import os
import subprocess
import zlib
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.workers.reading.reader import read
from swallowtail.workers.reading.subprocess_reader import read_in_subprocess
from swallowtail.workers.run.outcomes import PermanentError
from tests.harness.settings import make_settings
from tests.workers.reading.samples import RST, pdf


def settings(**values: Any) -> Settings:
    return make_settings(**values)


def test_a_document_read_in_a_subprocess_has_the_same_text() -> None:
    assert read_in_subprocess(RST.encode(), "text/plain", "utf-8", "README", settings()) == read(RST.encode())


def test_an_unreadable_document_is_reported_with_the_reason() -> None:
    with pytest.raises(PermanentError, match="cannot be read: the PDF is broken") as failure:
        read_in_subprocess(b"%PDF-1.7", settings=settings())
    assert failure.value.code == "document_unreadable"


@pytest.mark.long
def test_a_document_that_takes_too_long_ends_with_its_process_and_not_with_the_worker() -> None:
    hard = pdf(
        stream=zlib.compress(b"BT /F1 12 Tf " + b"(x) Tj T* " * 2_000_000 + b" ET"), filters="/Filter /FlateDecode"
    )
    before = sum(os.times()[:2])
    with pytest.raises(PermanentError, match="more than 1 seconds of processor time") as failure:
        read_in_subprocess(hard, settings=settings(read_cpu_seconds=1))
    assert failure.value.code == "document_too_hard"
    assert sum(os.times()[:2]) - before < 1  # ours


def test_a_document_that_fills_the_memory_is_refused() -> None:
    bomb = pdf(stream=zlib.compress(b" " * 60_000_000), filters="/Filter /FlateDecode")
    with pytest.raises(PermanentError, match="cannot be read") as failure:
        read_in_subprocess(bomb, settings=settings(read_memory=134_217_728, read_cpu_seconds=20))
    assert failure.value.code in ("document_too_hard", "document_unreadable")


def test_nothing_of_the_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []

    def run(*args: Any, **more: Any) -> Any:
        seen.append(more["env"])
        return start(*args, **more)

    start = subprocess.run
    monkeypatch.setenv("SWALLOWTAIL_OPENAI_API_KEY", "secret")
    monkeypatch.setattr(subprocess, "run", run)
    assert read_in_subprocess(b"A lamp.", settings=settings()).format == "plain"
    assert sorted(seen[0]) == ["PYTHONPATH", "PYTHONWARNINGS"]


def test_hints_of_any_length_and_kind_are_taken_as_hints() -> None:
    hint = "\u00ff\0\ud800" * 100_000
    assert read_in_subprocess(b"abc", hint, hint, hint + ".md", settings()).blocks[0].text == "abc"
