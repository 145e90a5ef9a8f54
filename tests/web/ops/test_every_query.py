"""Nothing that is asked of the database reads a table that grows from end to end, or puts its rows in order.

Everything is done once that anybody does: each route with each filter, each move of a task, each periodic look; and
every statement that this takes is explained, by SQLite and by PostgreSQL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, UniqueConstraint, select, text

from swallowtail.app.core.tables.base import Base
from swallowtail.app.core.tables.tasks import Step, Task
from tests.harness.query_plans import Faults, Said, find_on_postgresql, find_on_sqlite, overheard
from tests.web.callers import open_callers_app
from tests.web.every_query import KEEPS, do_everything

#: Queries that may read or sort more rows than they return, by their text, and the reason.
ALLOWED = {
    "FROM membership JOIN user_account": "the members of one instance by name: people whom somebody invited one by one",
    "SELECT audit_chain.scope \nFROM audit_chain": "a row for each instance: at each look for what is old, in one "
    "process, and when an operator verifies all of them",
    "SELECT instance.id \nFROM instance": "a row for each instance: likewise, and at a restore",
}


def _left(faults: Faults) -> Faults:
    return {said: why for said, why in faults.items() if not any(known in said for known in ALLOWED)}


@pytest.mark.long
def test_sqlite_finds_all_that_it_is_asked_for_by_indexes(tmp_path: Path) -> None:
    said: Said = {}
    with open_callers_app(tmp_path, **KEEPS) as gallery:
        engine: Engine = gallery.rt.db.engine
        with overheard(engine, said):
            do_everything(gallery)
        assert len(said) > 250
        assert _left(find_on_sqlite(engine, said)) == {}


@pytest.mark.service
def test_postgresql_can_find_all_that_it_is_asked_for_by_indexes(tmp_path: Path, postgres_url: str) -> None:
    said: Said = {}
    with open_callers_app(tmp_path, database_url=postgres_url, **KEEPS) as gallery:
        engine: Engine = gallery.rt.db.engine
        with overheard(engine, said):
            do_everything(gallery)
        assert len(said) > 250
        assert _left(find_on_postgresql(engine, said)) == {}


def test_the_sweep_notices_what_reads_and_sorts_whole_tables(tmp_path: Path) -> None:
    said: Said = {}
    with open_callers_app(tmp_path) as gallery:
        engine: Engine = gallery.rt.db.engine
        with overheard(engine, said), gallery.rt.db.read() as session:
            session.scalars(select(Task.id).where(Task.message == "x").limit(1)).all()
            session.scalars(select(Step.id).where(Step.task_id == "x").order_by(Step.agent)).all()
            session.execute(text("SELECT count(*) FROM event"))
        assert len(find_on_sqlite(engine, said)) == 3


@pytest.mark.parametrize("name", Base.metadata.tables)
def test_what_goes_with_a_deleted_row_is_found_by_an_index(name: str) -> None:
    table = Base.metadata.tables[name]
    unique = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    parts: list[Any] = [*table.indexes, table.primary_key, *unique]
    known = [list(one.columns.keys()) for one in parts]
    for key in table.foreign_key_constraints:
        assert any(index[: len(key.column_keys)] == list(key.column_keys) for index in known), key.column_keys
