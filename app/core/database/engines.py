"""Creates the SQLAlchemy engines of SQLite and PostgreSQL.

SQLite: WAL, and `BEGIN IMMEDIATE` for writes (a deferred transaction that later writes fails at once with "database is
locked"). On both, a commit is on the disk before it is acknowledged: after a power failure, event numbers that a client
has seen must not be used again.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.connection_budget import ConnectionReserve
from swallowtail.app.core.errors import SettingsError
from swallowtail.app.core.events import to_json
from swallowtail.app.core.process.private_files import make_private, open_private
from swallowtail.app.core.tables.unreadable import deserialize

log = structlog.get_logger(__name__)

PostgresDriver = Literal["psycopg", "psycopg2"]
_REMEDY = "set SWALLOWTAIL_DATABASE_URL"
#: Milliseconds that SQLite itself waits for a lock; it blocks the whole thread.
_BUSY = 20


def make_engine(settings: Settings, driver: PostgresDriver, *, reserve: int = 0) -> Engine:
    """Return an engine without a connection yet. Raises SettingsError if the driver is not installed.

    `reserve` PostgreSQL connections are left to other processes (`core/database/connection_budget`).
    """
    url, file = make_url(settings.database), settings.database_file
    if file is None:
        try:
            engine = _make_postgres_engine(url.set(drivername=f"postgresql+{driver}"), settings)
        except ModuleNotFoundError as missing:
            message = "SWALLOWTAIL_DATABASE_URL: PostgreSQL needs the extra: pip install 'swallowtail[postgres]'"
            raise SettingsError(message, field="SWALLOWTAIL_DATABASE_URL") from missing
        # Behind a pooler in transaction mode, a connection is not one of the server.
        if reserve and settings.database_prepare_threshold:
            event.listen(engine, "do_connect", ConnectionReserve(reserve).connect)
        return engine
    if not str(url.database).startswith("file:"):
        # SQLAlchemy 2.0 leaves the special characters of a path quoted.
        url = url.set(database=str(file))
    return _make_sqlite_engine(url, file, settings)


def _make_postgres_engine(url: URL, settings: Settings) -> Engine:
    threshold = settings.database_prepare_threshold or None
    # psycopg2 prepares nothing.
    own = {"prepare_threshold": threshold} if url.get_driver_name() == "psycopg" else {}
    engine = create_engine(
        url,
        json_serializer=_serialize,
        json_deserializer=deserialize,
        pool_pre_ping=True,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_overflow,
        pool_recycle=settings.database_recycle or -1,
        pool_timeout=settings.database_wait,
        connect_args={"connect_timeout": 5, **own},
    )
    # The first limits the wait for a locked row. With the second, no acknowledged commit is lost with the server, for
    # any default of the role or the database.
    configure = (
        f"SELECT set_config('lock_timeout', '{math.ceil(settings.database_wait * 1000)}', {threshold is None}), "
        "CASE current_setting('synchronous_commit') WHEN 'off' "
        f"THEN set_config('synchronous_commit', 'on', {threshold is None}) END"
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        if threshold is not None:
            connection.cursor().execute(configure)
            connection.commit()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # Behind a pooler the next transaction may use another connection of the server, without these values.
        if threshold is None and not connection.get_execution_options().get("postgresql_readonly"):
            connection.exec_driver_sql(configure)

    return engine


def _make_sqlite_engine(url: URL, file: Path, settings: Settings) -> Engine:
    if settings.database_url is None:
        for reason in open_private(settings.var):
            log.warning("var_not_private", reason=reason)
    _check_file(file)
    engine = create_engine(
        url, json_serializer=_serialize, json_deserializer=deserialize, pool_timeout=settings.database_wait
    )

    @event.listens_for(engine, "do_connect")
    def make(*_: object) -> None:
        # SQLite would create it with the umask. If it cannot be created, SQLite reports that.
        with suppress(OSError):
            make_private(file)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        # None keeps the driver from opening transactions; `begin` below opens the right kind.
        connection.isolation_level = None
        connection.text_factory = _read_text
        cursor = connection.cursor()
        sync = settings.database_sync
        # On macOS, fsync alone leaves the data in the cache of the disk.
        durable = (f"synchronous={sync}", f"fullfsync={sync == 'full'}", f"checkpoint_fullfsync={sync == 'full'}")
        for pragma in (f"busy_timeout={_BUSY}", "journal_mode=WAL", "foreign_keys=ON", *durable):
            try:
                cursor.execute(f"PRAGMA {pragma}")
            except sqlite3.DatabaseError as fault:
                if fault.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                    raise
                raise SettingsError(f"{file} is not an SQLite database: move the file, or {_REMEDY}") from None
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("swallowtail_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _check_file(file: Path) -> None:
    """Raise SettingsError if the file exists and cannot be used. It is not opened: that would end our locks on it."""
    if file.is_dir():
        raise SettingsError(f"{file} is a directory, not a database: move it, or {_REMEDY}")
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):
        raise SettingsError(f"this user cannot read and write the database {file}: permit it, or {_REMEDY}")


@contextmanager
def begin_immediate(connection: Connection) -> Iterator[None]:
    """Write in a second transaction on a connection, without waiting for locks. Raises DBAPIError."""
    if connection.dialect.name == "postgresql":
        level: Any = connection.default_isolation_level
        connection.execution_options(isolation_level=level, postgresql_readonly=False)
        with connection.begin():
            connection.exec_driver_sql("SET LOCAL lock_timeout = 1")
            yield
        return
    own = connection.connection.cursor()
    own.execute("PRAGMA busy_timeout=0")
    try:
        with connection.execution_options(swallowtail_write=True).begin():
            yield
    finally:
        own.execute(f"PRAGMA busy_timeout={_BUSY}")
        own.close()


def _read_text(stored: bytes) -> str:
    # Invalid UTF-8 gets U+FFFD in front, so that it is no JSON; the driver would fail the statement for every row.
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return "\ufffd" + stored.decode(errors="replace")


def _serialize(value: Any) -> str:
    return to_json(value).decode()
