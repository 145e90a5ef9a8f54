"""Finds calls of methods by names in strings, and copies of objects, which hide what is called on what."""

from __future__ import annotations

import ast
from functools import cache

from tests.architecture.source_tree import Source, SourceTree, dotted

#: Names in strings that only other libraries' objects have, or lack: none of the ledger's methods.
_OPTIONAL = ("__wrapped__", "close", "epoll")


def find_calls_by_name(tree: SourceTree) -> list[str]:
    """Return calls of `getattr(owner, name)`, also through a variable, and uses of `operator.methodcaller`."""
    return [
        f"{source.path}:{node.lineno} {ast.unparse(node)}"
        for source in tree.python()
        for node in source.nodes
        if isinstance(node, ast.Call)
        and (
            _is_by_name(node.func)
            or dotted(node.func) in _variables(source)
            or source.resolve(node.func) == "operator.methodcaller"
        )
    ]


def find_copies(tree: SourceTree) -> list[str]:
    """Return calls of `copy.copy` and the like: a changed copy of the ledger shares its parts with the original."""
    return [
        f"{source.path}:{node.lineno} {ast.unparse(node)}"
        for source in tree.python()
        for node in source.nodes
        if isinstance(node, ast.Call) and source.resolve(node.func) in ("copy.copy", "copy.deepcopy", "copy.replace")
    ]


@cache
def _variables(source: Source) -> frozenset[str]:
    """Return the names that a file gives to the results of `getattr`."""
    return frozenset(
        dotted(target)
        for node in source.nodes
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and node.value and _is_by_name(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ) - {""}


def _is_by_name(value: ast.expr) -> bool:
    match value:
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), *_]):
            return name not in _OPTIONAL
        case ast.Call(func=ast.Name(id="getattr")):
            return True
    return False
