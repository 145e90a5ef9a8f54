"""Follows imports, calls and assignments to names of eventlet and Flask-SocketIO that these libraries do not document.

Their internals mostly lack the underscore. What counts as documented is eventlet's guide, but neither its generated
reference, which lists every module, nor what the guide itself calls internal (`get_hub`); and the reference of
Flask-SocketIO.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source_tree import Source, dotted

#: The documented names that this repository uses, by module or class.
_DOCUMENTED = {
    "eventlet": "Queue hubs listen monkey_patch patcher sleep spawn spawn_n tpool wsgi",
    "eventlet.Queue": "get put",
    "eventlet.hubs": "",
    "eventlet.patcher": "",
    "eventlet.tpool": "execute",
    "eventlet.wsgi": "server",
    "flask_socketio": "SocketIO emit join_room",
    "flask_socketio.SocketIO": "on",
}
#: Objects of another library.
_OTHERS = {"flask_socketio.SocketIO.server": "socketio.Server"}


def find(source: Source) -> Iterator[tuple[int, str]]:
    """Yield the line and the last part of each such name."""
    if not any(found.module.split(".")[0] in _DOCUMENTED for found in source.imports):
        return
    values = _trace(source)
    for found in source.imports:
        if found.name and not _is_documented(found.full):
            yield found.line, found.name
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and not _is_documented(f"{_resolve(node.value, values)}.{node.attr}"):
            yield node.lineno, node.attr


def _is_documented(full: str) -> bool:
    """Return whether a name is documented, or of none of these libraries."""
    owner, _, name = full.rpartition(".")
    return full.split(".")[0] not in _DOCUMENTED or name in _DOCUMENTED.get(owner, "").split()


def _trace(source: Source) -> dict[str, str]:
    """Return the full names that variables, attributes and parameters of a file stand for."""
    values = dict(source.names)
    pairs = [pair for node in source.nodes for pair in _bindings(node)]
    # Each pass follows one assignment further.
    for _ in range(3):
        for target, value in pairs:
            full = _resolve(value, values)
            if target and full.split(".")[0] in _DOCUMENTED:
                values[target] = full
    return values


def _bindings(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the targets and values of an assignment, or a parameter and its type."""
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        yield node.arg if isinstance(node, ast.arg) else dotted(node.target), node.annotation
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(map(dotted, target.elts), node.value.elts, strict=False)
            else:
                yield dotted(target), node.value


def _resolve(node: ast.expr, values: dict[str, str]) -> str:
    """Return the full name of an expression: a result has the name of the function, an object that of its class."""
    if isinstance(node, ast.Call):
        return _resolve(node.func, values)
    full = values.get(dotted(node), "")
    if not full and isinstance(node, ast.Attribute) and (owner := _resolve(node.value, values)):
        full = f"{owner}.{node.attr}"
    return _OTHERS.get(full, full)
