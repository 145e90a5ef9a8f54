"""The database: engines, transactions that wait out a short absence, and the database's own clock.

SQLite: WAL, `BEGIN IMMEDIATE` for writes (a deferred transaction that later wants to write fails at once with "database
is locked"), and waiting by short sleeps instead of SQLite's own busy handler, which would block every greenlet of a web
process. PostgreSQL: reads are REPEATABLE READ, so that a snapshot and the head that belongs to it are of one moment.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, Connection, Engine, create_engine, event, literal, make_url, select, type_coerce
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from app.core import models_access, models_audit, models_privacy  # noqa: F401 - whoever has a database knows every table
from app.core.errors import SettingsError, Unavailable
from app.core.events import to_json
from app.core.keyring import Keyring
from app.core.models import Instance, Moment
from app.core.policy import POLICIES, Policies
from app.core.references import find_missing
from app.core.sealing import KEYRING
from app.core.settings import Settings

PostgresDriver = Literal["psycopg", "psycopg2"]

_AWAY = "the database is locked or away"

#: PostgreSQL: serialization failure, deadlock, lock not available, and the server going away or coming up.
_TRANSIENT_CODES = frozenset({"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "08000", "08003", "08006"})


class _Clock(FunctionElement[int]):
    """The database's clock, in microseconds since 1970. Holds nothing, so that a statement is compiled only once."""

    inherit_cache = True
    name = "clock"
    type = BigInteger()


def db_now(offset: float = 0.0) -> ColumnElement[datetime]:
    """Return the database's clock plus `offset` seconds: leases and delays are never compared with a machine's own."""
    # A parameter, or every offset would be a statement of its own.
    return type_coerce(_Clock() + literal(round(offset * 1_000_000), BigInteger), Moment)


@compiles(_Clock, "sqlite")
def _sqlite_now(element: _Clock, compiler: SQLCompiler, **options: Any) -> str:
    # julianday() counts in milliseconds; unixepoch('subsec') needs SQLite 3.42.
    return "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000)"


@compiles(_Clock, "postgresql")
def _postgres_now(element: _Clock, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


class Database:
    """One process's access to the database. Safe to share between threads and greenlets, not across a fork."""

    def __init__(self, settings: Settings, driver: PostgresDriver | None = None) -> None:
        """`driver` is the PostgreSQL driver: psycopg2 under eventlet, which psycopg 3 does not support.

        Raises:
            SettingsError: the driver is not installed.
        """
        self.wait = settings.database_wait
        self.engine = _make_engine(settings, driver or "psycopg")
        self.keyring = Keyring.parse(settings.encryption_keys.get_secret_value())
        self.policies = Policies(settings)
        self._info = {KEYRING: self.keyring, POLICIES: self.policies}

    @contextmanager
    def read(self, *, wait: float | None = None) -> Iterator[Session]:
        """Give a session that sees one moment of the database.

        Args:
            wait: patience in seconds with a database that is locked or away; `database_wait` when None.

        Raises:
            Unavailable: the database stayed away for that long, or went away meanwhile.
        """
        with _telling_absence(), self._transaction(write=False, wait=wait) as session:
            yield session

    @contextmanager
    def write(self, *, wait: float | None = None) -> Iterator[Session]:
        """Give a session that commits at the end of the block and rolls back when it raises.

        Args:
            wait: patience in seconds with a database that is locked or away; `database_wait` when None.

        Raises:
            Unavailable: the database stayed locked or away for that long, or went away meanwhile.
        """
        with _telling_absence(), self._transaction(write=True, wait=wait) as session:
            yield session

    def run(self, work: Callable[[Session], Any], *, write: bool = True) -> Any:
        """Run `work` in a transaction, again and again while the database is locked or away.

        `work` must bear being run twice: when a connection breaks during a commit, nobody knows whether it happened.

        Raises:
            NotFound: what a new row belongs to was deleted meanwhile.
            Unavailable: the database stayed locked or away for `database_wait`.
        """
        patience = _Patience(self.wait)
        while True:
            try:
                with self._transaction(write=write) as session:
                    return work(session)
            except DBAPIError as fault:
                if not is_transient(fault):
                    missing = find_missing(fault)
                    if missing is None:
                        raise
                    raise missing from fault
                if not patience.pause():
                    raise Unavailable(_AWAY) from fault

    def ping(self) -> None:
        """Read one row of the schema, without waiting for a database that is away. Raises SQLAlchemyError."""
        with self.engine.connect() as connection:
            connection.execution_options(**self._options(write=False)).execute(select(Instance.id).limit(1))

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, *, write: bool, wait: float | None = None) -> Iterator[Session]:
        connection = self._begin(write=write, wait=wait)
        session = Session(bind=connection, expire_on_commit=False, autoflush=True, info=self._info)
        try:
            yield session
            session.flush()
            connection.commit()
        finally:
            session.close()
            connection.close()

    def _begin(self, *, write: bool, wait: float | None = None) -> Connection:
        patience = _Patience(self.wait if wait is None else wait)
        while True:
            connection: Connection | None = None
            try:
                connection = self.engine.connect()
                connection = connection.execution_options(**self._options(write=write))
                connection.begin()
                return connection
            except (OperationalError, InterfaceError) as fault:
                if connection is not None:
                    connection.close()
                if not patience.pause():
                    raise Unavailable(_AWAY) from fault
            except PoolTimeout as fault:
                raise Unavailable("every connection to the database is in use") from fault

    def _options(self, *, write: bool) -> dict[str, Any]:
        if self.engine.dialect.name == "postgresql":
            return {} if write else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return {"swallowtail_write": write}


@contextmanager
def _telling_absence() -> Iterator[None]:
    """Turn the loss of the database inside a transaction into the error that callers know."""
    try:
        yield
    except DBAPIError as fault:
        if not is_transient(fault):
            raise
        raise Unavailable(_AWAY) from fault


class _Patience:
    """Growing pauses, with jitter, until a deadline."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = 0.005

    def pause(self) -> bool:
        """Sleep and return True, or return False once the time is up."""
        if time.monotonic() >= self._deadline:
            return False
        time.sleep(self._pause * random.uniform(0.5, 1.5))
        self._pause = min(self._pause * 1.6, 0.25)
        return True


def is_transient(fault: DBAPIError) -> bool:
    """Tell whether the same transaction may go through a moment later."""
    if fault.connection_invalidated:
        return True
    code = getattr(fault.orig, "sqlstate", None) or getattr(fault.orig, "pgcode", None)
    if code is not None:
        return code in _TRANSIENT_CODES
    text = str(fault.orig).lower()
    return isinstance(fault, OperationalError) and ("locked" in text or "connect" in text or "closed" in text)


def _make_engine(settings: Settings, driver: PostgresDriver) -> Engine:
    url = make_url(settings.database)
    if url.get_backend_name() == "postgresql":
        try:
            return _make_postgres_engine(url.set(drivername=f"postgresql+{driver}"), settings)
        except ModuleNotFoundError as missing:
            message = "SWALLOWTAIL_DATABASE_URL: PostgreSQL needs the extra: pip install 'swallowtail[postgres]'"
            raise SettingsError(message, field="SWALLOWTAIL_DATABASE_URL") from missing
    return _make_sqlite_engine(url, settings)


def _make_postgres_engine(url: URL, settings: Settings) -> Engine:
    engine = create_engine(
        url,
        json_serializer=_serialize,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=settings.database_wait,
        connect_args={"connect_timeout": 5},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        # Without it, a write would wait for a locked row for as long as somebody holds it.
        cursor = connection.cursor()
        cursor.execute(f"SET lock_timeout = {math.ceil(settings.database_wait * 1000)}")
        cursor.close()
        connection.commit()

    return engine


def _make_sqlite_engine(url: URL, settings: Settings) -> Engine:
    if settings.database_url is None:
        settings.var.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(url, json_serializer=_serialize, pool_timeout=settings.database_wait)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        # None keeps the driver from opening transactions of its own; `begin` below opens the right kind.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("busy_timeout=20", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("swallowtail_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _serialize(value: Any) -> str:
    return to_json(value).decode()
