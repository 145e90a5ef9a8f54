"""The comparison of watched instances with the database: whatever was not heard is found here. On the road beside hub.

All of them are looked at every `head_check` seconds. In between, those only whose channel has begun to be heard: what
was published before that was not. Whoever joins thousands of instances thus has each of them looked at once, not all
of them each time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.errors import Unavailable
from swallowtail.app.delivery.database_reader import Archive
from swallowtail.app.delivery.instance_stream import Watch

log = structlog.get_logger(__name__)

#: Several reasons to look within this time, in seconds, make one comparison.
JOIN_CHECKS = 0.02


class HeadCheck:
    """One web process's comparison. Safe for threads."""

    def __init__(
        self, settings: Settings, archive: Archive, watches: Mapping[str, Watch], tidy: Callable[[], None]
    ) -> None:
        """`watches` by instance; others change it meanwhile. `tidy` is called at each look at all of them."""
        self._settings = settings
        self._archive = archive
        self._watches = watches
        self._tidy = tidy
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._doubted: set[str] = set()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether instances are compared."""
        return self._thread is not None and self._thread.is_alive() and not self._stopping.is_set()

    def start(self) -> None:
        """Compare in a thread from now on."""
        self._thread = threading.Thread(target=self.run, name="head-check", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the comparison it is in."""
        self._stopping.set()
        self._due.set()

    def doubt(self, instance_id: str) -> None:
        """Have one instance looked at soon."""
        with self._lock:
            self._doubted.add(instance_id)
        self._due.set()

    def run(self) -> None:
        """Compare until `stop`. What fails is tried again at the next look at all."""
        all_at = time.monotonic() + self._settings.head_check
        while not self._stopping.is_set():
            if self._due.wait(max(0.0, all_at - time.monotonic())):
                self._stopping.wait(JOIN_CHECKS)
            self._due.clear()
            is_round = time.monotonic() >= all_at
            if is_round:
                all_at = time.monotonic() + self._settings.head_check
                self._tidy()
            try:
                self.look(list(self._watches) if is_round else self._take_doubted())
            except Unavailable as away:
                log.warning("head_check_postponed", reason=away.message)
            except Exception:
                log.exception("head_check_failed")

    def look(self, instance_ids: Iterable[str]) -> None:
        """Compare these instances, as far as they are watched. Raises Unavailable."""
        watches = [watch for one in instance_ids if (watch := self._watches.get(one)) is not None]
        if not watches or self._stopping.is_set():
            return
        heads = self._archive.read_heads([watch.instance_id for watch in watches])
        for watch in watches:
            watch.check(heads.get(watch.instance_id))

    def look_at_doubted(self) -> None:
        """Compare those instances only that are in doubt. Raises Unavailable."""
        self.look(self._take_doubted())

    def _take_doubted(self) -> set[str]:
        with self._lock:
            doubted, self._doubted = self._doubted, set()
        return doubted
