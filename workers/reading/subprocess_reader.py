"""Starts a separate process to read a document, within limits of time and memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

from swallowtail.app.core.config.settings import Settings, load_settings
from swallowtail.app.core.process.python_command import python_command
from swallowtail.workers.reading.blocks import Block, Bounds, ReadDocument
from swallowtail.workers.run.outcomes import PermanentError

MAX_CHARACTERS = Bounds().characters
#: Longest hint in characters: a server may send any number, and arguments of a process are limited.
_LONGEST_HINT = 500


def read_in_subprocess(
    body: bytes, media_type: str = "", charset: str | None = None, name: str = "", settings: Settings | None = None
) -> ReadDocument:
    """Read `body`; media type, character set and name are hints.

    Raises PermanentError if it cannot be read (`document_unreadable`) or exceeds a limit (`document_too_hard`).
    """
    settings = settings or load_settings()
    asked = {
        "media_type": media_type[:_LONGEST_HINT],
        "charset": charset and charset[:_LONGEST_HINT],
        # The end of the name matters.
        "name": name[-_LONGEST_HINT:],
        "characters": MAX_CHARACTERS,
        "unpacked_bytes": settings.read_max_unpacked,
        "cpu_seconds": settings.read_cpu_seconds,
        "memory_bytes": settings.read_memory,
    }
    # The process gets no environment: a document must not reach settings or keys.
    # Nor the current folder on its path: a project's own `lxml.py` is not the library.
    paths = [path for path in sys.path if path and path != os.getcwd()]
    environment = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "ignore"}
    command = python_command("swallowtail.workers.reading.subprocess_main", json.dumps(asked))
    process = subprocess.run(command, input=body, capture_output=True, env=environment, check=False)
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        text = f"reading the document takes more than {settings.read_cpu_seconds} seconds of processor time"
        raise PermanentError(text, code="document_too_hard")
    if process.returncode != 0:
        last = process.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise PermanentError(f"the document cannot be read: {last[:200]}", code="document_unreadable")
    answer = json.loads(process.stdout)
    if "unreadable" in answer:
        code = "document_too_hard" if "memory" in answer["unreadable"] else "document_unreadable"
        raise PermanentError(f"the document cannot be read: {answer['unreadable']}", code=code)
    blocks = tuple(Block(**block) for block in answer["blocks"])
    return ReadDocument(answer["format"], answer["title"], blocks, answer["cut"])
