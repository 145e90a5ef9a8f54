"""No query reads or sorts the whole of a table that grows.

Each route with each filter, each transition of a task and each periodic check runs once; SQLite and PostgreSQL explain
every statement that this takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, UniqueConstraint, select, text

from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.tasks import Step, Task
from tests.harness.database.query_plans import Faults, Said, find_on_postgresql, find_on_sqlite, overheard
from tests.web.callers import open_callers_app
from tests.web.every_query import KEEPS, do_everything

#: Queries that may read or sort more rows than they return, by their text, and the reason.
ALLOWED = {
    "FROM membership JOIN user_account": "the members of one instance by name: each was invited by a person",
    "SELECT audit_chain.scope \nFROM audit_chain": "a row for each instance: at each search for old entries, in one "
    "process, and when an operator verifies all of them",
    "SELECT instance.id \nFROM instance": "a row for each instance: likewise, and at a restore",
}


def _left(faults: Faults) -> Faults:
    return {query: why for query, why in faults.items() if not any(known in query for known in ALLOWED)}


@pytest.mark.long
def test_sqlite_uses_an_index_for_every_statement(tmp_path: Path) -> None:
    queries: Said = {}
    with open_callers_app(tmp_path, **KEEPS) as callers:
        engine: Engine = callers.rt.db.engine
        with overheard(engine, queries):
            do_everything(callers)
        assert len(queries) > 250
        assert _left(find_on_sqlite(engine, queries)) == {}


@pytest.mark.service
def test_postgresql_has_an_index_for_every_statement(tmp_path: Path, postgres_url: str) -> None:
    queries: Said = {}
    with open_callers_app(tmp_path, database_url=postgres_url, **KEEPS) as callers:
        engine: Engine = callers.rt.db.engine
        with overheard(engine, queries):
            do_everything(callers)
        assert len(queries) > 250
        assert _left(find_on_postgresql(engine, queries)) == {}


def test_the_check_finds_statements_that_read_or_sort_whole_tables(tmp_path: Path) -> None:
    queries: Said = {}
    with open_callers_app(tmp_path) as callers:
        engine: Engine = callers.rt.db.engine
        with overheard(engine, queries), callers.rt.db.read() as session:
            session.scalars(select(Task.id).where(Task.message == "x").limit(1)).all()
            session.scalars(select(Step.id).where(Step.task_id == "x").order_by(Step.agent)).all()
            session.execute(text("SELECT count(*) FROM event"))
        assert len(find_on_sqlite(engine, queries)) == 3


@pytest.mark.parametrize("name", Base.metadata.tables)
def test_rows_that_refer_to_a_deleted_row_are_found_by_an_index(name: str) -> None:
    table = Base.metadata.tables[name]
    unique = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    parts: list[Any] = [*table.indexes, table.primary_key, *unique]
    known = [list(one.columns.keys()) for one in parts]
    for key in table.foreign_key_constraints:
        assert any(index[: len(key.column_keys)] == list(key.column_keys) for index in known), key.column_keys
