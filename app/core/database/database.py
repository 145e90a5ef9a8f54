"""Runs transactions, with retries while the database is locked or down, and reads the database's clock.

SQLite: writers queue (`core/database/write_lock`) and wait by short sleeps; SQLite's own busy handler would block every
greenlet of a web process. PostgreSQL: reads are REPEATABLE READ, so that a snapshot and its head are of one moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import BigInteger, Connection, Engine, literal, select, type_coerce
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidRequestError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement, ScalarSelect
from sqlalchemy.sql.functions import FunctionElement

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.backoff import Backoff
from swallowtail.app.core.database.connection_budget import BUDGET, RESERVED, Budget, measure_pool
from swallowtail.app.core.database.engines import PostgresDriver, begin_immediate, make_engine
from swallowtail.app.core.database.faults import AWAY, REFUSALS, find_missing, is_read_only, is_transient, unavailable
from swallowtail.app.core.database.write_lock import WriterQueue
from swallowtail.app.core.errors import CutOff, SwallowtailError, Unavailable
from swallowtail.app.core.payload_redaction.rules import POLICIES, Policies
from swallowtail.app.core.payload_redaction.stored_redactions import NEW_REDACTIONS, NewRedactions, store_redactions
from swallowtail.app.core.privacy.keyring import Keyring
from swallowtail.app.core.process.offload import OFFLOAD, Offload, run_here
from swallowtail.app.core.tables import artifacts, audit, auth, instances, schedules, system, tasks  # noqa: F401 - registers every table
from swallowtail.app.core.tables.base import Moment
from swallowtail.app.core.tables.column_encryption import KEYRING
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.validation import LIMITS

log = structlog.get_logger(__name__)

T = TypeVar("T")
#: Whether the work of `Database.retry_if_cut_off` has begun a commit, whose outcome may be unknown.
_has_stored: ContextVar[bool] = ContextVar("has_stored", default=False)


class _Clock(FunctionElement[int]):
    """The database's clock, in microseconds since 1970. It has no state, so that statements are compiled only once."""

    inherit_cache = True
    name = "clock"
    type = BigInteger()


def db_now(offset: float = 0.0) -> ColumnElement[datetime]:
    """Return the database's clock plus `offset` seconds: leases and delays never use the clock of a machine."""
    # A parameter, so that all offsets share one compiled statement.
    return type_coerce(_Clock() + literal(round(offset * 1_000_000), BigInteger), Moment)


def db_now_once(offset: float = 0.0) -> ScalarSelect[datetime]:
    """Return the same, read once per statement: PostgreSQL uses no index for a clock that it reads for each row."""
    return select(db_now(offset)).scalar_subquery()


@compiles(_Clock, "sqlite")
def _sqlite_now(element: _Clock, compiler: SQLCompiler, **options: Any) -> str:
    # julianday() counts in milliseconds; unixepoch('subsec') needs SQLite 3.42.
    return "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000)"


@compiles(_Clock, "postgresql")
def _postgres_now(element: _Clock, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"


class Database:
    """One process's access to the database. Safe to share between threads and greenlets, not across a fork."""

    def __init__(
        self,
        settings: Settings,
        driver: PostgresDriver | None = None,
        *,
        for_runs: bool = True,
        offload: Offload = run_here,
    ) -> None:
        """`driver` is the PostgreSQL driver: psycopg2 under eventlet, which psycopg 3 does not support.

        Without `for_runs`, `database_reserve` connections are reserved for processes that perform runs. Raises
        SettingsError if the driver is not installed.
        """
        self.wait = settings.database_wait
        #: Reason of the last refused write, until the next write succeeds.
        self.write_fault: str | None = None
        #: How many connections are reserved for other processes.
        self.reserve = 0 if for_runs else settings.database_reserve
        self.engine = make_engine(settings, driver or "psycopg", reserve=self.reserve)
        self._writer_queue = None if settings.database_file is None else WriterQueue(settings.database_file)
        self.keyring = Keyring.parse(settings.encryption_keys.get_secret_value())
        self.policies = Policies(settings)
        self._info = {KEYRING: self.keyring, POLICIES: self.policies, LIMITS: settings, OFFLOAD: offload}

    @contextmanager
    def read(self, *, wait: float | None = None) -> Iterator[Session]:
        """Yield a session that sees one moment of the database.

        Raises:
            Unavailable: the database stayed locked or down for `wait` seconds, `database_wait` by default.
            CutOff: it went down meanwhile.
        """
        with self._translating_faults(write=False), self._transaction(write=False, wait=wait) as session:
            yield session

    @contextmanager
    def write(self, *, wait: float | None = None) -> Iterator[Session]:
        """Yield a session that commits at the end of the block, or rolls back if the block raises. See `read`."""
        with self._translating_faults(write=True), self._transaction(write=True, wait=wait) as session:
            yield session

    def run(self, work: Callable[[Session], Any], *, write: bool = True, wait: float | None = None) -> Any:
        """Run `work` in a transaction, again while the database is locked or down.

        `work` must be repeatable: if the connection breaks during a commit, the outcome is unknown.

        Raises:
            NotFound: the parent of a new row was deleted meanwhile.
            Unavailable: the database stayed locked or down for `wait` seconds, `database_wait` by default.
        """
        backoff = Backoff(self.wait if wait is None else wait)
        while True:
            try:
                with self._transaction(write=write, wait=wait) as session:
                    return work(session)
            except DBAPIError as fault:
                if not is_transient(fault):
                    error = find_missing(fault) or self._translate(fault, write=write)
                    if error is None:
                        raise
                    raise error from fault
                if not backoff.pause():
                    raise (self._translate(fault, write=write) or Unavailable(AWAY)) from fault

    def retry_if_cut_off(self, work: Callable[[], T]) -> T:
        """Run `work` of several transactions, again while it is cut off before the first commit. Raises Unavailable."""
        backoff = Backoff(self.wait)
        while True:
            before = _has_stored.set(False)
            try:
                return work()
            except CutOff:
                if _has_stored.get() or not backoff.pause():
                    raise
            finally:
                _has_stored.reset(before)

    def ping(self) -> None:
        """Read one row, without waiting for a database that is down. Raises SQLAlchemyError."""
        with self.engine.connect() as connection:
            connection.execution_options(**_options(self.engine, write=False)).execute(select(Instance.id).limit(1))

    def read_budget(self) -> Budget | None:
        """Return the limit of connections and the rest; None on SQLite, which has no limit. Raises Unavailable."""
        if self.engine.dialect.name != "postgresql":
            return None
        with self.read(wait=0.0) as session:
            return Budget(*session.connection().exec_driver_sql(BUDGET.format(later="true")).one())

    def dispose(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()
        measure_pool(self.engine)

    @contextmanager
    def _transaction(self, *, write: bool, wait: float | None = None) -> Iterator[Session]:
        backoff = Backoff(self.wait if wait is None else wait)
        redactions: NewRedactions = {}
        with self._queued(backoff) if write else nullcontext():
            connection = self._begin(backoff, write=write)
            measure_pool(self.engine)
            info = {**self._info, NEW_REDACTIONS: redactions}
            session = Session(bind=connection, expire_on_commit=False, autoflush=True, info=info)
            try:
                yield session
                session.flush()
                if write:
                    store_redactions(session, redactions)
                    _has_stored.set(True)
                connection.commit()
                if write:
                    self.write_fault = None
                elif redactions:
                    _store_redactions(connection, redactions, self._queued(Backoff(0.0)), self._info)
            except DBAPIError as fault:
                # A write in a read transaction is a programming error, and no retry helps.
                if not write and is_read_only(fault):
                    raise InvalidRequestError(f"a read transaction cannot write: {fault.orig}") from fault
                raise
            finally:
                session.close()
                connection.close()
                measure_pool(self.engine)

    def _queued(self, backoff: Backoff) -> AbstractContextManager[None]:
        # Before the connection: waiting writers leave the connections to readers.
        return nullcontext() if self._writer_queue is None else self._writer_queue.entered(lambda: backoff.is_left)

    def _begin(self, backoff: Backoff, *, write: bool) -> Connection:
        while True:
            connection: Connection | None = None
            try:
                connection = self.engine.connect()
                connection = connection.execution_options(**_options(self.engine, write=write))
                connection.begin()
                return connection
            except (OperationalError, InterfaceError) as fault:
                if connection is not None:
                    connection.close()
                if not backoff.pause():
                    raise (self._translate(fault, write=write) or Unavailable(AWAY)) from fault
            except Unavailable:
                # Meanwhile this process may free a connection of its own.
                if not backoff.pause():
                    REFUSALS.labels(RESERVED).inc()
                    raise
            except PoolTimeout as fault:
                raise Unavailable("every connection to the database is in use") from fault

    @contextmanager
    def _translating_faults(self, *, write: bool) -> Iterator[None]:
        """Turn the loss of the database inside a transaction into an error of the domain."""
        try:
            yield
        except DBAPIError as fault:
            error = self._translate(fault, write=write)
            if error is None:
                raise
            raise (CutOff(AWAY) if error.message == AWAY else error) from fault

    def _translate(self, fault: DBAPIError, *, write: bool) -> Unavailable | None:
        error = unavailable(fault)
        if error is not None and write:
            self.write_fault = error.message
        return error


def _options(engine: Engine, *, write: bool) -> dict[str, Any]:
    if engine.dialect.name == "postgresql":
        return {} if write else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    return {"swallowtail_write": write}


def _store_redactions(
    connection: Connection, redactions: NewRedactions, queued: AbstractContextManager[None], info: Any
) -> None:
    """Store the redactions that a read transaction computed, on its connection, without waiting for locks."""
    try:
        with queued, begin_immediate(connection), Session(bind=connection, info=info) as session:
            store_redactions(session, redactions)
    except (SQLAlchemyError, SwallowtailError) as fault:
        # The next reader computes them again.
        log.info("redactions_not_stored", reason=str(fault))
