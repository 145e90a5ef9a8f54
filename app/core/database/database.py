"""The database: transactions that wait out a short absence, and the database's own clock.

SQLite: writers take turns (`core/database/write_lock`), and waiting is done by short sleeps instead of SQLite's own busy handler,
which would block every greenlet of a web process. PostgreSQL: reads are REPEATABLE READ, so that a snapshot and the
head that belongs to it are of one moment.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import BigInteger, Connection, literal, select, type_coerce
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidRequestError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ColumnElement, ScalarSelect
from sqlalchemy.sql.functions import FunctionElement

from swallowtail.app.core.config.settings import Settings
from swallowtail.app.core.database.connection_budget import BUDGET, RESERVED, Budget, measure_pool
from swallowtail.app.core.database.engines import PostgresDriver, make_engine, writing_at_once
from swallowtail.app.core.database.faults import AWAY, REFUSALS, is_read_only, is_transient, unavailable
from swallowtail.app.core.database.foreign_key_errors import find_missing
from swallowtail.app.core.database.write_lock import Turns
from swallowtail.app.core.errors import CutOff, SwallowtailError, Unavailable
from swallowtail.app.core.payload_redaction.kept_values import MADE, Made, store
from swallowtail.app.core.payload_redaction.rules import POLICIES, Policies
from swallowtail.app.core.privacy.keyring import Keyring
from swallowtail.app.core.process.worker_thread import OFFLOAD, Offload
from swallowtail.app.core.tables import artifacts, audit, auth, instances, schedules, system, tasks  # noqa: F401 - registers every table
from swallowtail.app.core.tables.base import Moment
from swallowtail.app.core.tables.column_encryption import KEYRING
from swallowtail.app.core.tables.instances import Instance
from swallowtail.app.core.validation import LIMITS

log = structlog.get_logger(__name__)

T = TypeVar("T")
#: Whether what `Database.patiently` does has tried to store something, so that nobody knows what is stored.
_has_stored: ContextVar[bool] = ContextVar("has_stored", default=False)


class _Clock(FunctionElement[int]):
    """The database's clock, in microseconds since 1970. Holds nothing, so that a statement is compiled only once."""

    inherit_cache = True
    name = "clock"
    type = BigInteger()


def db_now(offset: float = 0.0) -> ColumnElement[datetime]:
    """Return the database's clock plus `offset` seconds: leases and delays are never compared with a machine's own."""
    # A parameter, or every offset would be a statement of its own.
    return type_coerce(_Clock() + literal(round(offset * 1_000_000), BigInteger), Moment)


def db_now_once(offset: float = 0.0) -> ScalarSelect[datetime]:
    """Return the same, read once for a whole statement: by a clock read for each row, PostgreSQL looks nothing up."""
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

    def __init__(self, settings: Settings, driver: PostgresDriver | None = None, *, for_runs: bool = True) -> None:
        """`driver` is the PostgreSQL driver: psycopg2 under eventlet, which psycopg 3 does not support.

        Without `for_runs`, `database_reserve` connections are left to those who perform runs.

        Raises:
            SettingsError: the driver is not installed.
        """
        self.wait = settings.database_wait
        #: Why it last refused, until it takes a write again.
        self.trouble: str | None = None
        #: How many connections are left to others.
        self.reserve = 0 if for_runs else settings.database_reserve
        self.engine = make_engine(settings, driver or "psycopg", reserve=self.reserve)
        self._turns = None if settings.database_file is None else Turns(settings.database_file)
        self.keyring = Keyring.parse(settings.encryption_keys.get_secret_value())
        self.policies = Policies(settings)
        self._info: dict[str, Any] = {KEYRING: self.keyring, POLICIES: self.policies, LIMITS: settings}

    def compute_by(self, offload: Offload) -> None:
        """Have what is long to compute in a transaction computed by `offload` from now on."""
        self._info[OFFLOAD] = offload

    @contextmanager
    def read(self, *, wait: float | None = None) -> Iterator[Session]:
        """Give a session that sees one moment of the database.

        Args:
            wait: patience in seconds with a database that is locked or away; `database_wait` when None.

        Raises:
            Unavailable: the database stayed away for that long.
            CutOff: it went away meanwhile.
        """
        with self._telling_absence(), self._transaction(write=False, wait=wait) as session:
            yield session

    @contextmanager
    def write(self, *, wait: float | None = None) -> Iterator[Session]:
        """Give a session that commits at the end of the block and rolls back when it raises.

        Args:
            wait: patience in seconds with a database that is locked or away; `database_wait` when None.

        Raises:
            Unavailable: the database stayed locked or away for that long.
            CutOff: it went away meanwhile.
        """
        with self._telling_absence(), self._transaction(write=True, wait=wait) as session:
            yield session

    def run(self, work: Callable[[Session], Any], *, write: bool = True, wait: float | None = None) -> Any:
        """Run `work` in a transaction, again and again while the database is locked or away.

        `work` must bear being run twice: when a connection breaks during a commit, nobody knows whether it happened.

        Raises:
            NotFound: what a new row belongs to was deleted meanwhile.
            Unavailable: the database stayed locked or away for `wait` seconds, by default `database_wait`.
        """
        patience = _Patience(self.wait if wait is None else wait)
        while True:
            try:
                with self._transaction(write=write, wait=wait) as session:
                    return work(session)
            except DBAPIError as fault:
                if not is_transient(fault):
                    told = find_missing(fault) or self._tell(fault)
                    if told is None:
                        raise
                    raise told from fault
                if not patience.pause():
                    raise (self._tell(fault) or Unavailable(AWAY)) from fault

    def patiently(self, work: Callable[[], T]) -> T:
        """Do `work` of several transactions, again and again while one is cut off before the first was to be stored.

        Raises:
            Unavailable: the database stayed away for `database_wait`, or went away after something was stored.
        """
        patience = _Patience(self.wait)
        while True:
            before = _has_stored.set(False)
            try:
                return work()
            except CutOff:
                if _has_stored.get() or not patience.pause():
                    raise
            finally:
                _has_stored.reset(before)

    def ping(self) -> None:
        """Read one row of the schema, without waiting for a database that is away. Raises SQLAlchemyError."""
        with self.engine.connect() as connection:
            connection.execution_options(**self._options(write=False)).execute(select(Instance.id).limit(1))

    def read_budget(self) -> Budget | None:
        """Return what connections there may be and are left; None on SQLite, which has no limit.

        Raises:
            Unavailable: the database is away, or had none left for this question.
        """
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
        patience = _Patience(self.wait if wait is None else wait)
        made: Made = {}
        with self._turn(patience) if write else nullcontext():
            connection = self._begin(patience, write=write)
            measure_pool(self.engine)
            session = Session(bind=connection, expire_on_commit=False, autoflush=True, info={**self._info, MADE: made})
            try:
                yield session
                session.flush()
                if write:
                    _has_stored.set(True)
                connection.commit()
                if write:
                    self.trouble = None
                if made:
                    self._keep(connection, made)
            except DBAPIError as fault:
                # Where only reads were asked for, a write is a mistake of ours, and no other try mends it.
                if not write and is_read_only(fault):
                    raise InvalidRequestError(f"a transaction that reads was to write: {fault.orig}") from fault
                raise
            finally:
                session.close()
                connection.close()
                measure_pool(self.engine)

    def _keep(self, connection: Connection, made: Made) -> None:
        """Keep what was made in a transaction with its rows, on its connection, after it.

        Waits for nothing, and a refusal is none of the deployment's troubles: whoever needs it makes it again.
        """
        try:
            with (
                self._turn(_Patience(0.0)),
                writing_at_once(connection),
                Session(bind=connection, info=self._info) as session,
            ):
                store(session, made)
        except (SQLAlchemyError, SwallowtailError) as fault:
            log.info("not_kept", reason=str(fault))

    def _turn(self, patience: _Patience) -> AbstractContextManager[None]:
        # Before the connection: those who wait for their turn leave connections to those who read.
        return nullcontext() if self._turns is None else self._turns.taken(lambda: patience.is_left)

    def _begin(self, patience: _Patience, *, write: bool) -> Connection:
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
                    raise (self._tell(fault) or Unavailable(AWAY)) from fault
            except Unavailable:
                # Meanwhile this process may give one back that it has.
                if not patience.pause():
                    REFUSALS.labels(RESERVED).inc()
                    raise
            except PoolTimeout as fault:
                raise Unavailable("every connection to the database is in use") from fault

    @contextmanager
    def _telling_absence(self) -> Iterator[None]:
        """Turn the loss of the database inside a transaction into the error that callers know."""
        try:
            yield
        except DBAPIError as fault:
            told = self._tell(fault)
            if told is None:
                raise
            raise (CutOff(AWAY) if told.message == AWAY else told) from fault

    def _tell(self, fault: DBAPIError) -> Unavailable | None:
        told = unavailable(fault)
        if told is not None:
            self.trouble = told.message
        return told

    def _options(self, *, write: bool) -> dict[str, Any]:
        if self.engine.dialect.name == "postgresql":
            return {} if write else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return {"swallowtail_write": write}


class _Patience:
    """Growing pauses, with jitter, until a deadline."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._pause = 0.005

    @property
    def is_left(self) -> bool:
        """Whether the time is not up."""
        return time.monotonic() < self._deadline

    def pause(self) -> bool:
        """Sleep and return True, or return False once the time is up."""
        if not self.is_left:
            return False
        time.sleep(self._pause * random.uniform(0.5, 1.5))
        self._pause = min(self._pause * 1.6, 0.25)
        return True
