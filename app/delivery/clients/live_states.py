"""Keeps the latest live progress of each task of one instance, and selects what a cursor has not been sent.

A live state belongs between two events: a cursor may see it once it has reached the event that precedes it, and no
cursor sees it after a later event of the same task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from swallowtail.app.delivery.clients.cursor import Cursor
from swallowtail.app.delivery.clients.masked_view import MaskedView
from swallowtail.app.delivery.wire import Entry, Frame

#: Marks of old tasks are removed only when there are more than this.
_TIDY = 256


@dataclass(frozen=True, slots=True)
class _Live:
    base_seq: int
    stamp: int
    frame: Frame


@dataclass(slots=True)
class _Mark:
    """The last event of one task, and the highest progress and revision that were published for it."""

    seq: int
    attempt: int
    progress: float
    rev: int = -1


class LiveStates:
    """The latest live state of each task; memory does not grow with slow clients. Not safe for threads."""

    def __init__(self) -> None:
        self._latest: dict[str, _Live] = {}
        self._marks: dict[str, _Mark] = {}
        self._tidy_at = _TIDY
        #: The stamp of the latest state; a cursor with this stamp is due nothing.
        self.stamp = 0

    def settle(self, entries: Iterable[Entry], first: int) -> None:
        """Record new events, which void the live states before them. `first` is the earliest event in the buffer."""
        for entry in entries:
            mark = self._marks.get(entry.task_id)
            progress = mark.progress if mark is not None and mark.attempt == entry.attempt else 0.0
            rev = mark.rev if mark is not None and mark.attempt == entry.attempt else -1
            self._marks[entry.task_id] = _Mark(entry.seq, entry.attempt, max(progress, entry.progress), rev)
            live = self._latest.get(entry.task_id)
            if live is not None and live.base_seq < entry.seq:
                del self._latest[entry.task_id]
        if len(self._marks) > self._tidy_at:
            self._forget(first)

    def offer(self, base_seq: int, wire: Mapping[str, Any], frame: Frame) -> bool:
        """Store a state (`LiveState.wire()`) unless it is void, repeated, or behind what was published."""
        task_id, attempt, rev = wire["task_id"], wire["attempt"], wire["rev"]
        progress = float(wire["data"].get("progress") or 0.0)
        mark = self._marks.get(task_id)
        if mark is None:
            mark = self._marks[task_id] = _Mark(base_seq, attempt, 0.0)
        elif base_seq < mark.seq or attempt < mark.attempt:
            return False
        elif attempt == mark.attempt and (rev <= mark.rev or progress < mark.progress):
            return False
        mark.attempt, mark.rev, mark.progress = attempt, rev, progress
        self.stamp += 1
        self._latest.pop(task_id, None)
        self._latest[task_id] = _Live(base_seq, self.stamp, frame)
        return True

    def collect(self, cursor: Cursor, mask: MaskedView | None = None) -> list[Frame]:
        """Return the states that the cursor may see and was not sent, oldest first, and move its stamp past them."""
        if cursor.stamp >= self.stamp:
            return []
        frames = []
        for task_id, live in self._latest.items():
            if live.stamp <= cursor.stamp:
                continue
            if live.base_seq > cursor.seq:
                break
            frame = live.frame if mask is None else mask.show(task_id, live.frame)
            if frame is not None:
                frames.append(frame)
            cursor.stamp = live.stamp
        return frames

    def stamp_after(self, stamp: int, count: int, mask: MaskedView | None = None) -> int:
        """Return the stamp of a cursor that was sent `count` of the states after `stamp`."""
        following = [
            live.stamp
            for task_id, live in self._latest.items()
            if live.stamp > stamp and (mask is None or mask.shows(task_id))
        ]
        return following[count - 1] if count > 0 else stamp

    def drop_after(self, seq: int) -> None:
        """Remove states that follow an event which the log does not have: they belong to another epoch."""
        for task_id in [task_id for task_id, live in self._latest.items() if live.base_seq > seq]:
            del self._latest[task_id]
            self._marks.pop(task_id, None)

    def clear(self) -> None:
        """Remove all states and marks, for a log that starts again."""
        self._latest.clear()
        self._marks.clear()

    def _forget(self, first: int) -> None:
        self._marks = {
            task_id: mark for task_id, mark in self._marks.items() if mark.seq >= first or task_id in self._latest
        }
        self._tidy_at = max(_TIDY, 2 * len(self._marks))
