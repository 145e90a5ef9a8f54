"""Streams a text at reading speed in the demo instance, so that one sees the agents work.

The pauses are part of the stream, in the step that writes the text: a cancel, a stop or a time limit ends them at once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

from swallowtail.app.core.config.settings import Settings, load_settings

#: A word with the space around it; a longer run, as in scripts without spaces, is cut.
_PIECE = re.compile(r"\s*\S{1,12}\s*")


class Pace:
    """How fast one run streams: `words_per_second`, 0 for no pauses, which together last `longest` seconds at most."""

    def __init__(
        self, words_per_second: float = 0.0, longest: float = 0.0, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._pause = 1.0 / words_per_second if words_per_second else 0.0
        self._left = longest
        self._sleep = sleep

    @classmethod
    def of_run(cls, instance_id: str, settings: Settings | None = None) -> Pace:
        """Return the pace of a run: that of the settings in the demo instance, no pauses elsewhere.

        The pauses take at most half of the time that a run has until it is asked to stop.
        """
        settings = settings or load_settings()
        if instance_id != settings.demo_instance:
            return cls()
        return cls(settings.demo_words_per_second, settings.soft_time_limit / 2)

    def stream(self, text: str) -> Iterator[str]:
        """Yield the text line by line without pauses, or word by word with a pause before each word."""
        if not self._pause:
            yield from text.splitlines(keepends=True)
            return
        for piece in _PIECE.findall(text):
            if self._left >= self._pause:
                self._left -= self._pause
                self._sleep(self._pause)
            yield piece
