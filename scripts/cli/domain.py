"""The domain as the command uses it: opened for one command, quiet, and sure that there is a database to use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from app.core.errors import Unavailable
from app.core.logs import configure_logging
from app.core.runtime import Runtime
from app.core.settings import Settings, load_settings


@contextmanager
def open_domain() -> Iterator[Runtime]:
    """Give the domain on the settings of the environment.

    Raises:
        SettingsError: a setting cannot be used.
        Unavailable: there is no database file.
    """
    settings = load_settings()
    _be_quiet(settings)
    _check_database_file(settings)
    runtime = Runtime.build(settings)
    try:
        yield runtime
    finally:
        runtime.close()


def _be_quiet(settings: Settings) -> None:
    """Log only when somebody asked for everything: what matters is told in the command's own words."""
    if settings.log_level != "DEBUG":
        settings = settings.model_copy(update={"log_level": "CRITICAL"})
    configure_logging(settings)


def _check_database_file(settings: Settings) -> None:
    """Refuse to begin an empty SQLite database: without tables it would only be in the way."""
    url = make_url(settings.database)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        raise Unavailable(f"there is no database at {url.database}; run ./scripts/up, or python -m workers.release")
