"""An event log as a list of short lines, so that a test can assert all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def story(events: Iterable[dict[str, Any]]) -> list[str]:
    """Every event in order, such as `QUEUED`, `1: IN_PROGRESS`, `1: first completed`, `1: FAILED exception`, `1: 50%`.

    The number is the attempt, left out before the first.
    """
    return [f"{event['attempt']}: {_line_of(event)}" if event["attempt"] else _line_of(event) for event in events]


def _line_of(event: dict[str, Any]) -> str:
    data = event["data"]
    code = (data.get("error") or {}).get("code")
    if event["type"] == "execution_step":
        words = [data["key"], data["status"], code]
    elif "status" in data:
        words = [data["status"], code]
    elif data.get("cancel_requested"):
        words = ["cancel requested"]
    else:
        words = [f"{data['progress']:g}%"]
    return " ".join(word for word in words if word)


#: How every task begins.
BEGINNING = ["SUBMITTED", "QUEUED", "1: IN_PROGRESS"]


def steps(attempt: int, *keys: str) -> list[str]:
    """Steps that start and are completed, without a percentage, in this attempt."""
    return [f"{attempt}: {key} {status}" for key in keys for status in ("in_progress", "completed")]
