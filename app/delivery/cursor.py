"""Where one client stands in one instance's log, and the latest live state of its tasks. The last stop before a socket.

Replay and live delivery are the same act: a cursor takes the next events in order and moves past them.

Live state is the latest value per task. It belongs between two events: a cursor may see it once it has reached the
event that it was measured after, and nobody sees it any more once a later event of its task is out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from swallowtail.app.core.security.field_mask import FULL, View
from swallowtail.app.core.security.permissions import OPEN, Actor
from swallowtail.app.delivery.wire import Entry, Frame

if TYPE_CHECKING:
    from swallowtail.app.delivery.instance_stream import Watch
    from swallowtail.app.delivery.masked_view import Lens


#: How many marks there are at least before the old ones are looked for.
_TIDY = 256


@dataclass(slots=True, eq=False)
class Client:
    """One connection, and what it watches. `gone` is final."""

    id: str
    gone: bool = False
    #: Its token is good no longer: nothing begins for it any more, and it is about to be gone. Final too.
    ended: bool = False
    #: What the transport keeps with a client, to find it without searching.
    line: Any = None
    #: Who it is, and what they are shown: of all that they watch, and for as long as they are connected.
    actor: Actor = OPEN
    view: View = FULL
    watches: dict[str, Watch] = field(default_factory=dict)
    #: The tasks whose text is read, with their instances.
    tasks: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Cursor:
    """A client's place: the number of the last event sent, and the stamp of the last live state sent.

    `pace` is how long, in seconds, the cursor rests because its client takes messages too slowly; 0 when it does not.
    `missed` tells that it has needed events which the ring no longer has.
    """

    client: Client
    epoch: str
    seq: int
    stamp: int = 0
    pace: float = 0.0
    missed: bool = False

    def stands_at(self, place: Cursor) -> bool:
        """Tell whether two cursors are at the same place."""
        return self.seq == place.seq and self.stamp == place.stamp and self.epoch == place.epoch

    def copy_for(self, client: Client) -> Cursor:
        """Return another client's cursor at the same place."""
        return Cursor(client, self.epoch, self.seq, self.stamp)

    def take(self, entries: Iterable[Entry], limit: int) -> list[Frame]:
        """Return the messages of up to `limit` entries that are next in line, and move past them.

        `entries` are contiguous. Those already sent are left out; nothing is taken when they begin beyond the next one.
        """
        frames: list[Frame] = []
        for entry in entries:
            if len(frames) >= limit or entry.seq > self.seq + 1:
                break
            if entry.seq == self.seq + 1:
                frames.append(entry.frame)
                self.seq = entry.seq
        return frames


@dataclass(frozen=True, slots=True)
class _Live:
    base_seq: int
    stamp: int
    frame: Frame


@dataclass(slots=True)
class _Mark:
    """What is known of one task: its last event, and how far it has been told to be."""

    seq: int
    attempt: int
    progress: float
    rev: int = -1


class LiveStates:
    """The latest live state of each task of one instance, conflated: memory does not grow with slow clients."""

    def __init__(self) -> None:
        self._latest: dict[str, _Live] = {}
        self._marks: dict[str, _Mark] = {}
        self._tidy_at = _TIDY
        self._stamp = 0

    @property
    def stamp(self) -> int:
        """The stamp of the latest state; a cursor that begins now has nothing to catch up on."""
        return self._stamp

    def settle(self, entries: Iterable[Entry], first: int) -> None:
        """Note events that continued the line: what was measured before them is void. `first` is the earliest kept."""
        for entry in entries:
            mark = self._marks.get(entry.task_id)
            told = mark.progress if mark is not None and mark.attempt == entry.attempt else 0.0
            rev = mark.rev if mark is not None and mark.attempt == entry.attempt else -1
            self._marks[entry.task_id] = _Mark(entry.seq, entry.attempt, max(told, entry.progress), rev)
            live = self._latest.get(entry.task_id)
            if live is not None and live.base_seq < entry.seq:
                del self._latest[entry.task_id]
        if len(self._marks) > self._tidy_at:
            self._forget(first)

    def offer(self, base_seq: int, wire: Mapping[str, Any], frame: Frame) -> bool:
        """Take a state (`LiveState.wire()`) unless it is void, repeated, or behind what has been told."""
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
        self._stamp += 1
        self._latest.pop(task_id, None)
        self._latest[task_id] = _Live(base_seq, self._stamp, frame)
        return True

    def take(self, cursor: Cursor, lens: Lens | None = None) -> list[Frame]:
        """Return the states that the cursor has not been sent and may see now, the oldest first, through a lens."""
        if cursor.stamp >= self._stamp:
            return []
        frames = []
        for task_id, live in self._latest.items():
            if live.stamp <= cursor.stamp:
                continue
            if live.base_seq > cursor.seq:
                break
            frame = live.frame if lens is None else lens.show(task_id, live.frame)
            if frame is not None:
                frames.append(frame)
            cursor.stamp = live.stamp
        return frames

    def stamp_after(self, stamp: int, count: int, lens: Lens | None = None) -> int:
        """Return where a cursor stands that has been sent, through a lens, `count` of the states after a stamp."""
        following = [
            live.stamp
            for task_id, live in self._latest.items()
            if live.stamp > stamp and (lens is None or lens.shows(task_id))
        ]
        return following[count - 1] if count > 0 else stamp

    def drop_after(self, seq: int) -> None:
        """Forget states measured after an event that the log does not have: they belong to another epoch."""
        for task_id in [task_id for task_id, live in self._latest.items() if live.base_seq > seq]:
            del self._latest[task_id]
            self._marks.pop(task_id, None)

    def clear(self) -> None:
        """Forget all states and marks, as when the log begins anew."""
        self._latest.clear()
        self._marks.clear()

    def _forget(self, first: int) -> None:
        self._marks = {
            task_id: mark for task_id, mark in self._marks.items() if mark.seq >= first or task_id in self._latest
        }
        self._tidy_at = max(_TIDY, 2 * len(self._marks))
