"""Finds writes of task, step, event and outbox rows outside the ledger."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from tests.architecture.source_tree import Function, Source, SourceTree, dotted, within

LEDGER = "app/core/ledger/"
_MODELS = "swallowtail.app.core.tables.tasks"
ROWS = {f"{_MODELS}.{name}": name for name in ("Task", "Step", "Event", "Outbox")}
#: Files outside the ledger that delete these rows, or rewrite columns of whatever table they are called for.
OTHER_WRITERS = {
    "app/core/coordination/database_clock.py": "moves times after a jump of the clock",
    "app/core/maintenance/key_rotation.py": "encrypts columns with the current key",
    "app/core/maintenance/retention.py": "deletes what is older than the retention period",
    "app/core/payload_redaction/stored_redactions.py": "redacts stored values after a change of the rules",
    "app/core/services/instance_deletion.py": "deletes an instance with its rows",
    "app/core/services/log_epochs.py": "renames the epoch of restored events",
}
_STATEMENTS = ("insert", "update", "delete")
_TABLE = ".__table__"
_TABLES = "|".join(("task", "step", "event", "outbox"))
_TRANSITIONS = "swallowtail.app.core.ledger.transitions"
#: Methods of sessions that return the rows of a query.
_READS = ("scalar", "scalars", "execute")
#: Methods of queries and results that return the same query or its rows.
_PARTS = (
    *("where", "filter", "filter_by", "order_by", "limit", "offset", "options", "join", "with_for_update"),
    *("execution_options", "unique", "scalars", "all", "first", "one", "one_or_none", "scalar_one"),
    "scalar_one_or_none",
)


@dataclass(frozen=True)
class _Rows:
    """Functions and methods that return rows."""

    functions: frozenset[str]
    methods: frozenset[str]


def find_writes(tree: SourceTree) -> list[str]:
    """Return every write of such a row outside the ledger and the listed files."""
    rows = _row_functions(tree)
    return [
        f"{source.path}:{line} {what}"
        for source in tree.python()
        if not source.path.startswith((LEDGER, "app/migrations/")) and source.path not in OTHER_WRITERS
        for line, what in sorted(_writes(source, rows))
    ]


def find_uses_of_transitions(tree: SourceTree) -> list[str]:
    """Return imports of the state transitions outside the ledger."""
    others = [source for source in tree.python() if not source.path.startswith(LEDGER)]
    found = [
        f"{source.path}:{item.line} imports {item.full}"
        for source in others
        for item in source.imports
        if f"{item.full}.".startswith(f"{_TRANSITIONS}.")
    ]
    return found + [
        f"{source.path}:{node.lineno} uses {_TRANSITIONS}"
        for source in others
        for node in source.nodes
        if isinstance(node, ast.Attribute) and node.attr == "transitions" and source.resolve(node) == _TRANSITIONS
    ]


@cache
def _writes(source: Source, rows: _Rows) -> set[tuple[int, str]]:
    return {*_statements(source), *_constructions(source), *_assignments(source, rows)}


def _statements(source: Source) -> Iterator[tuple[int, str]]:
    """Yield `insert(Task)` and the like, also for a table that only a variable names, and SQL texts."""
    for node in source.nodes:
        if isinstance(node, ast.Call):
            library, _, called = source.resolve(node.func).rpartition(".")
            if library.startswith("sqlalchemy") and called in _STATEMENTS and node.args:
                model = source.resolve(node.args[0]).removesuffix(_TABLE)
                if model in ROWS or not model.startswith("swallowtail.app.core.tables."):
                    yield node.lineno, ast.unparse(node)
            elif isinstance(node.func, ast.Attribute) and _is_write_method(source, node, node.func):
                yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_sql(node.value):
            yield node.lineno, f"SQL: {node.value[:60]}"


def _is_write_method(source: Source, call: ast.Call, method: ast.Attribute) -> bool:
    """Return whether a call is `session.query(Task).update(...)`, `Task.__table__.insert()` or a bulk operation."""
    bulk = call.args if method.attr.startswith("bulk_") else []
    parts = [*ast.walk(method.value)] if method.attr in _STATEMENTS else bulk
    named = [part for part in parts if isinstance(part, ast.expr)]
    return any(_is_table(source, part) or dotted(part) in _tables(source) for part in named)


def _is_table(source: Source, node: ast.expr) -> bool:
    """Return whether an expression is a model, its `__table__`, or `metadata.tables["task"]`."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="tables"), slice=ast.Constant(value=str() as name)):
            return name in _TABLES.split("|")
    return source.resolve(node).removesuffix(_TABLE) in ROWS


@cache
def _tables(source: Source) -> frozenset[str]:
    """Return the names that a file gives to these tables."""
    bound = [pair for node in source.nodes for pair in _bindings(node)]
    return frozenset(dotted(target) for target, value in bound if _is_table(source, value)) - {""}


def _is_sql(text: str) -> bool:
    words = text.lower().replace('"', "").split()
    return any(
        words[at : at + len(start)] == start and words[at + len(start)] in _TABLES.split("|")
        for start in (["insert", "into"], ["update"], ["delete", "from"])
        for at in range(len(words) - len(start))
    )


def _constructions(source: Source) -> Iterator[tuple[int, str]]:
    """Yield `Task(...)`: a new row is only good for writing it."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and source.resolve(node.func) in ROWS:
            yield node.lineno, ast.unparse(node)


def _assignments(source: Source, rows: _Rows) -> Iterator[tuple[int, str]]:
    """Yield assignments to attributes of names that are annotated or loaded as rows, and `session.delete(row)`."""
    if not _may_name_rows(source, rows):
        return
    attributes = _row_attributes(source, rows)
    for function in source.functions:
        names = _row_names(source, function, rows, attributes)
        for node in ast.walk(function):
            for target in _targets(node):
                if any(_is_row(source, owner, names, rows) for owner in _owners(target)):
                    yield target.lineno, ast.unparse(target)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name) and node.args:
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                if name in ("delete", "merge", "setattr", "delattr") and _is_row(source, node.args[0], names, rows):
                    yield node.lineno, ast.unparse(node)


def _row_attributes(source: Source, rows: _Rows) -> set[str]:
    """Return the names of the form `self.task` that any method of the file, or the body of a class, makes a row."""
    bodies = [item for owner in source.classes for item in owner.body if isinstance(item, ast.AnnAssign)]
    names = {f"self.{dotted(item.target)}" for item in bodies if _mentions_row(source, item.annotation)}
    for function in source.functions:
        names |= {name for name in _row_names(source, function, rows, set()) if name.startswith("self.")}
    return names


def _row_names(source: Source, function: Function, rows: _Rows, known: set[str]) -> set[str]:
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = known | {item.arg for item in every if item.annotation and _mentions_row(source, item.annotation)}
    nodes, before = [*ast.walk(function)], -1
    # Again as long as there are more: a name may come from one that is found later.
    while before != len(names):
        before = len(names)
        for node in nodes:
            if isinstance(node, ast.AnnAssign) and _mentions_row(source, node.annotation):
                names.add(dotted(node.target))
            for target, value in _bindings(node):
                if _is_row(source, value, names, rows):
                    names.update(dotted(part) for part in _parts(target))
        names -= {""}
    return names


def _bindings(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.NamedExpr | ast.AnnAssign | ast.AugAssign) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        yield node.target, node.iter


def _targets(node: ast.AST) -> Iterable[ast.expr]:
    if isinstance(node, ast.Delete):
        return node.targets
    return [part for target, _ in _bindings(node) for part in _parts(target)]


def _parts(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, ast.Tuple | ast.List) else [target]


def _is_row(source: Source, value: ast.expr, names: set[str], rows: _Rows) -> bool:
    if dotted(value) in names:
        return True
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else dotted(node.func)
            if called in ("select", "get", "get_one", "query", "refresh") and any(
                source.resolve(argument) in ROWS for argument in node.args
            ):
                return True
            read = [node, *node.args[:1]] if called in _READS else [node] if called in _PARTS else []
            if any(_root(part) in names for part in read):
                return True
            full = source.resolve(node.func) or f"{source.module}.{dotted(node.func)}"
            if full in rows.functions or (isinstance(node.func, ast.Attribute) and node.func.attr in rows.methods):
                return True
    return False


def _may_name_rows(source: Source, rows: _Rows) -> bool:
    names = {*source.names.values()}
    words = {*re.findall(r"\w+", source.text)}
    is_imported = any(within(row, name) for row in ROWS for name in names)
    return is_imported or bool(names & rows.functions or words & rows.methods)


def _row_functions(tree: SourceTree) -> _Rows:
    found = [_own_row_functions(source) for source in tree.python()]
    return _Rows(
        frozenset().union(*(functions for functions, _ in found)), frozenset().union(*(methods for _, methods in found))
    )


@cache
def _own_row_functions(source: Source) -> tuple[frozenset[str], frozenset[str]]:
    methods = {item for owner in source.classes for item in owner.body}
    returning = [item for item in source.functions if item.returns and _mentions_row(source, item.returns)]
    return (
        frozenset(f"{source.module}.{item.name}" for item in returning if item not in methods),
        frozenset(item.name for item in returning if item in methods),
    )


def _mentions_row(source: Source, annotation: ast.expr) -> bool:
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            with suppress(SyntaxError):
                if _mentions_row(source, ast.parse(node.value, mode="eval").body):
                    return True
        elif isinstance(node, ast.expr) and source.resolve(node) in ROWS:
            return True
    return False


def _owners(target: ast.expr) -> Iterator[ast.expr]:
    """Yield the expressions before each attribute or index, from the last to the first."""
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
        yield target


def _root(value: ast.expr) -> str:
    """Return the name of the object on which the first of the chained methods is called."""
    while isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value
    return dotted(value)
