"""Collects the statements that a database executes, and finds those that read a whole table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from swallowtail.app.core.tables.base import Base

#: Tables that have a row for each process, agent or duty, or one row: reading all of one costs nothing.
SMALL = frozenset({"agent", "worker", "duty", "deployment", "access_version"})
#: Indexes of what is open, or runs, or waits, and of nothing else.
OF_FEW = frozenset({"ix_task_open", "ix_task_lease", "ix_task_expiry"})
#: How a statement begins that a test gives for itself.
OWN = "/* a test's own */"

#: Statements, with the parameters that each first had.
Said = dict[str, Any]
#: Statements, with what is wrong with the plan of each.
Faults = dict[str, list[str]]

_PLANNED = ("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")
#: As for tables of which a look at every row, or putting them in order, is out of the question.
_ONLY_INDEXES = ("seqscan", "sort", "incremental_sort", "hashjoin", "mergejoin", "hashagg", "material")


@contextmanager
def overheard(engine: Engine, said: Said) -> Iterator[None]:
    """Note each statement that the database receives."""

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, is_many: bool) -> None:
        if statement.lstrip().upper().startswith(_PLANNED):
            said.setdefault(statement, parameters[0] if is_many else parameters)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", note)


def find_on_sqlite(engine: Engine, said: Said) -> Faults:
    """Return the statements that read a table that grows from end to end, or sort its rows.

    SQLite plans alike for empty and for large tables, as long as it has no statistics.
    """
    faulty: Faults = {}
    connection = engine.raw_connection()
    try:
        for statement, parameters in said.items():
            rows = connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            if faults := _faults_of_steps(statement, [row[3] for row in rows]):
                faulty[statement] = faults
    finally:
        connection.close()
    return faulty


def _faults_of_steps(statement: str, steps: list[str]) -> list[str]:
    faults, is_large = [], False
    for step in steps:
        named = re.match(r"(SCAN|SEARCH) (\w+)", step)
        if named and _grows(re.sub(r"_\d+$", "", named[2])):
            is_large = True
            if named[1] == "SCAN" and not any(name in step for name in OF_FEW) and not _takes_the_first(statement):
                faults.append(step)
        elif "TEMP B-TREE FOR ORDER BY" in step and is_large:
            faults.append(step)
    return faults


def find_on_postgresql(engine: Engine, said: Said) -> Faults:
    """Do the same on PostgreSQL, as it plans when it may neither read tables as they lie nor sort."""
    faulty: Faults = {}
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        for what in _ONLY_INDEXES:
            cursor.execute(f"SET LOCAL enable_{what} = off")
        for statement, parameters in said.items():
            cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
            if faults := list(_faults_of_node(statement, cursor.fetchall()[0][0][0]["Plan"])):
                faulty[statement] = faults
    finally:
        connection.close()
    return faulty


def _faults_of_node(statement: str, node: dict[str, Any]) -> Iterator[str]:
    kind, index = node["Node Type"], node.get("Index Name", "")
    inner = node.get("Plans", [])
    table = node.get("Relation Name") or _table_of(index)
    is_read = kind in ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan")
    if is_read and _grows(table) and "Index Cond" not in node and index not in OF_FEW:
        if not _takes_the_first(statement):
            yield f"{kind} {table} {index}"
    elif kind in ("Sort", "Incremental Sort") and any(_grows(one) for child in inner for one in _tables(child)):
        yield f"{kind} {node['Sort Key']}"
    for child in inner:
        yield from _faults_of_node(statement, child)


def _tables(node: dict[str, Any]) -> Iterator[str]:
    yield node.get("Relation Name", "")
    for child in node.get("Plans", []):
        yield from _tables(child)


def _table_of(index: str) -> str:
    names = {str(one.name): table.name for table in Base.metadata.tables.values() for one in table.indexes}
    return names.get(index, "")


def _grows(table: str) -> bool:
    return table in Base.metadata.tables and table not in SMALL


def _takes_the_first(statement: str) -> bool:
    """Return whether a statement reads the first few rows of a table in any order."""
    words = statement.split()
    return "LIMIT" in words and "WHERE" not in words and "GROUP" not in words
