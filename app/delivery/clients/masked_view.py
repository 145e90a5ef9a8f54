"""Derives what clients with a restricted view are sent: fewer fields, and a `skip` for events that they may not see."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from swallowtail.app.core.security.field_mask import FieldMask
from swallowtail.app.delivery.clients.cursor import Cursor
from swallowtail.app.delivery.clients.transport import Transport
from swallowtail.app.delivery.wire import SKIP, Entry, Frame, skip_payload

#: Derived frames that are kept for clients that need them later.
_KEPT = 512


class MaskedView:
    """One view of one instance; derives each frame once for all clients with this view. Not safe for threads."""

    def __init__(self, instance_id: str, view: FieldMask, transport: Transport, size: int) -> None:
        """`size`: most bytes of derived frames and their originals that are kept."""
        self._instance_id = instance_id
        self._view = view
        self._transport = transport
        #: By the identity of the original, which is kept too so that no other object can have its identity.
        self._derived: OrderedDict[int, tuple[Frame, Frame]] = OrderedDict()
        self._size, self._cached_bytes = size, 0

    def collect(self, cursor: Cursor, entries: Iterable[Entry], limit: int) -> tuple[list[Frame], list[int]]:
        """Do what `Cursor.collect` does; returns also the cursor's position after each frame."""
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
        """Return whether clients with this view see anything of a task."""
        return self._view.shows(task_id)

    def show(self, task_id: str, frame: Frame) -> Frame | None:
        """Return the frame of a task's live state for this view; None for nothing."""
        return self._derive(frame) if self.shows(task_id) else None

    def _skip(self, cursor: Cursor, after: int) -> Frame:
        return self._transport.frame(SKIP, skip_payload(self._instance_id, cursor.epoch, after, cursor.seq))

    def _derive(self, frame: Frame) -> Frame:
        if self._view.fields is None:
            return frame
        entry = self._derived.get(id(frame))
        if entry is not None:
            return entry[1]
        wire = self._view.project_wire(self._transport.read(frame))
        derived = self._transport.frame(wire["type"], wire)
        self._derived[id(frame)] = (frame, derived)
        self._cached_bytes += len(frame) + len(derived)
        while self._cached_bytes > self._size or len(self._derived) > _KEPT:
            _, oldest = self._derived.popitem(last=False)
            self._cached_bytes -= len(oldest[0]) + len(oldest[1])
        return derived
