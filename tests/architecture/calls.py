"""Finds calls of methods by names in strings, and copies of objects, which hide what is called on what."""

from __future__ import annotations

import ast

from tests.architecture.source_tree import SourceTree


def find_calls_by_name(tree: SourceTree) -> list[str]:
    """Return calls of `getattr(owner, name)` with a computed name, and uses of `operator.methodcaller`."""
    return [
        f"{source.path}:{node.lineno} {ast.unparse(node)}"
        for source in tree.python()
        for node in source.nodes
        if isinstance(node, ast.Call)
        and (_is_computed(node.func) or source.resolve(node.func) == "operator.methodcaller")
    ]


def find_copies(tree: SourceTree) -> list[str]:
    """Return calls of `copy.copy`: a changed copy of the ledger or the database shares its parts with the original."""
    return [
        f"{source.path}:{node.lineno} {ast.unparse(node)}"
        for source in tree.python()
        for node in source.nodes
        if isinstance(node, ast.Call) and source.resolve(node.func) == "copy.copy"
    ]


def _is_computed(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Call)
        and isinstance(function.func, ast.Name)
        and function.func.id == "getattr"
        and not isinstance(function.args[1], ast.Constant)
    )
