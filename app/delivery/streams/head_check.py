"""Compares the heads of all streams with the database, which finds every event that no message announced.

All streams are compared every `head_check` seconds; in between, only those whose channel was just subscribed to, since
earlier messages did not arrive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.process.periodic_thread import PeriodicThread
from swallowtail.app.delivery.log.database_reader import DatabaseReader
from swallowtail.app.delivery.streams.instance_stream import InstanceStream

#: Several reasons to compare within this time, in seconds, make one comparison.
SETTLE_SECONDS = 0.02


class HeadCheck:
    """The comparison of one web process. Safe for threads."""

    def __init__(
        self,
        settings: Settings,
        reader: DatabaseReader,
        streams: Mapping[str, InstanceStream],
        tidy: Callable[[], None],
    ) -> None:
        """`streams` by instance; other threads change it. `tidy` is called at each comparison of all streams."""
        self._reader = reader
        self._streams = streams
        self._tidy = tidy
        self._lock = threading.Lock()
        self._requested: set[str] = set()
        self._thread = PeriodicThread("head_check", self._check, settings.head_check, settle=SETTLE_SECONDS)
        self.start, self.stop = self._thread.start, self._thread.stop

    @property
    def is_running(self) -> bool:
        """Whether the streams are compared."""
        return self._thread.is_running

    def request_check(self, instance_id: str) -> None:
        """Compare one instance soon."""
        with self._lock:
            self._requested.add(instance_id)
        self._thread.wake()

    def compare(self, instance_ids: Iterable[str]) -> None:
        """Compare these instances, as far as they have streams. Raises Unavailable."""
        streams = [stream for one in instance_ids if (stream := self._streams.get(one)) is not None]
        if not streams or self._thread.is_stopping:
            return
        heads = self._reader.read_heads([stream.instance_id for stream in streams])
        for stream in streams:
            stream.check(heads.get(stream.instance_id))

    def compare_requested(self) -> None:
        """Compare only the instances whose comparison was requested. Raises Unavailable."""
        with self._lock:
            requested, self._requested = self._requested, set()
        self.compare(requested)

    def _check(self) -> None:
        if self._thread.is_due:
            self._tidy()
            self.compare(list(self._streams))
        else:
            self.compare_requested()
