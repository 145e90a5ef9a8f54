"""What clients with a view are sent instead of everything: fewer fields, and a `skip` for what is not theirs.

On the road inside `delivery/client_group`. A message is derived from that of everybody once for each view, when the first
client with this view needs it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from swallowtail.app.core.security.field_mask import View
from swallowtail.app.delivery.wire import SKIP, Entry, Frame, Transport, skip_payload

if TYPE_CHECKING:
    from swallowtail.app.delivery.cursor import Cursor

#: Derived messages that are kept for those who come later.
_KEPT = 512


class Lens:
    """One view of one instance. Not safe for threads: its watch has the lock."""

    def __init__(self, instance_id: str, view: View, transport: Transport, size: int) -> None:
        """`size`: bytes of derived messages, and of those that they were made of, that are kept at most."""
        self._instance_id = instance_id
        self._view = view
        self._transport = transport
        #: By the message they were made of, which is kept so that nothing else can be taken for it.
        self._derived: OrderedDict[int, tuple[Frame, Frame]] = OrderedDict()
        self._size, self._held = size, 0

    def take(self, cursor: Cursor, entries: Iterable[Entry], limit: int) -> tuple[list[Frame], list[int]]:
        """Do what `Cursor.take` does; returns also where the cursor stands after each message."""
        frames: list[Frame] = []
        ends: list[int] = []
        hidden_after: int | None = None
        for entry in entries:
            if len(frames) >= limit or entry.seq > cursor.seq + 1:
                break
            if entry.seq <= cursor.seq:
                continue
            if not self.shows(entry.task_id):
                hidden_after = cursor.seq if hidden_after is None else hidden_after
            else:
                if hidden_after is not None:
                    frames.append(self._skip(cursor, hidden_after))
                    ends.append(cursor.seq)
                    hidden_after = None
                frames.append(self._derive(entry.frame))
                ends.append(entry.seq)
            cursor.seq = entry.seq
        if hidden_after is not None:
            frames.append(self._skip(cursor, hidden_after))
            ends.append(cursor.seq)
        return frames, ends

    def shows(self, task_id: str) -> bool:
        """Tell whether anything of a task is shown."""
        return self._view.shows(task_id)

    def show(self, task_id: str, frame: Frame) -> Frame | None:
        """Return what is sent of a task's live state; None for nothing."""
        return self._derive(frame) if self.shows(task_id) else None

    def _skip(self, cursor: Cursor, after: int) -> Frame:
        return self._transport.frame(SKIP, skip_payload(self._instance_id, cursor.epoch, after, cursor.seq))

    def _derive(self, frame: Frame) -> Frame:
        if self._view.fields is None:
            return frame
        known = self._derived.get(id(frame))
        if known is not None:
            return known[1]
        wire = self._view.project_wire(self._transport.read(frame))
        derived = self._transport.frame(wire["type"], wire)
        self._derived[id(frame)] = (frame, derived)
        self._held += len(frame) + len(derived)
        while self._held > self._size or len(self._derived) > _KEPT:
            _, oldest = self._derived.popitem(last=False)
            self._held -= len(oldest[0]) + len(oldest[1])
        return derived
