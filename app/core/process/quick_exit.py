"""Shortens the end of a process by the last garbage collection, which visits every object of every library."""

from __future__ import annotations

import atexit
import gc


def skip_last_collection() -> None:
    """Leave the objects that exist at the end to the system, once the functions for the exit have run."""
    # With Celery and SQLAlchemy imported, the collection takes 0.3 s of the processor.
    atexit.register(gc.freeze)
