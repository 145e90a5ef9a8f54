"""Finds calls of methods by names in strings, and objects that are copied or constructed more than once."""

from __future__ import annotations

import ast
from functools import cache

from tests.architecture.source_tree import Source, SourceTree, dotted

#: Names in strings that only other libraries' objects have, or lack: none of the ledger's methods.
_OPTIONAL = ("__wrapped__", "close", "epoll")

#: Objects that parse settings, and the only module of each kind of process that constructs one, to be passed on.
_CONSTRUCTED_IN = {
    "swallowtail.app.core.identity.authenticate.Tokens": (
        "app/web/factory.py",
        "workers/metrics_server.py",
        "scripts/cli/open_runtime.py",
    ),
    "swallowtail.app.web.http.trusted_proxies.TrustedProxies": ("app/web/http/request_guard.py",),
}


def find_repeated_constructions(tree: SourceTree) -> list[str]:
    """Return calls that construct, outside the modules for that, what a process constructs once; a second call too."""
    places = [
        (source, node, source.resolve(node.func))
        for source in tree.python()
        for node in source.nodes
        if isinstance(node, ast.Call) and source.resolve(node.func) in _CONSTRUCTED_IN
    ]
    return [
        f"{source.path}:{node.lineno} constructs {name}"
        for number, (source, node, name) in enumerate(places)
        if source.path not in _CONSTRUCTED_IN[name]
        or any((other, its_name) == (source, name) for other, _, its_name in places[:number])
    ]


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
