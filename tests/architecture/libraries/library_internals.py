"""Finds private names of libraries in files that may not use them, and names that no start-up check lists.

A name is private if it begins with an underscore, if the start-up check lists it, if it lies in a module that the
library does not document, or if a class uses or overrides what its library's class does not document. Of eventlet and
Flask-SocketIO every undocumented name counts (`undocumented_names`).
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from swallowtail.app.core.process.library_check import INTERNALS, LATER_NAMES
from tests.architecture.libraries import undocumented_names
from tests.architecture.source_tree import PRODUCT, Source, SourceTree, dotted, within

#: Files and folders that may use private names of libraries.
FILES = (
    "app/web/engineio/",
    "app/web/accept/gevent_handler.py",
    "app/web/accept/http_server_handlers.py",
    "app/web/accept/request_input.py",
    "app/web/serving/eventlet_server.py",
    "app/web/socketio/client_manager.py",
    "app/web/socketio/server.py",
    "app/core/database/connection_budget.py",
    "app/core/database/migrate.py",
    "app/core/redis/subscriber.py",
    "app/delivery/redis/subscriber.py",
    "workers/broker/",
)
#: Files that restore private state of Python's own modules, where that state is present.
_STANDARD_LIBRARY = ("workers/isolation/module_state.py", "workers/isolation/process_restore.py")
#: Files that run without the product, so that its check does not run before them.
_STANDALONE = ("clients/python/socket_connection.py", "bench/peers/bare_server.py")
#: Names in the start-up check that other objects have too: elsewhere they do not show which object is used.
SHARED = (
    "READ add callbacks cancel channel clock close closed connection content_length data disconnect environ fd "
    "get_environ handlers id is_connected json position queue reason receive redis send server session "
    "start_background_task state thread"
)
#: Methods that a class may override anywhere: those that Python, Celery, Click, Flask, gevent, kombu and
#: python-socketio document, and those of Python's own servers.
_OVERRIDABLE = (
    "create_task_handler decode dispatch_request encode ensure_connection error finish get_rooms get_transport_cls "
    "handle handleError handle_one_request invoke process_request_thread read_request setup __init__"
)
#: What each library documents; its other modules are internal.
_DOCUMENTED = {
    "engineio": ("engineio", "engineio.exceptions"),
    "socketio": ("socketio", "socketio.exceptions"),
    "flask_socketio": ("flask_socketio",),
    "redis": ("redis", "redis.asyncio", "redis.backoff", "redis.client", "redis.exceptions", "redis.retry"),
    "kombu": ("kombu", "kombu.exceptions", "kombu.log"),
    "eventlet": tuple(f"eventlet{name}" for name in ("", ".hubs", ".patcher", ".tpool", ".wsgi")),
}
_BY_NAME = ("getattr", "setattr", "hasattr", "delattr")


def find_internals(tree: SourceTree) -> list[str]:
    """Return uses of private names outside the listed files."""
    return [
        f"{source.path}:{line} uses {name}"
        for source in tree.python(*PRODUCT, "clients", "bench")
        if not source.path.startswith((*FILES, *_STANDARD_LIBRARY, *_STANDALONE))
        for line, name in uses(source)
    ]


def find_unchecked_names(tree: SourceTree) -> list[str]:
    """Return private names that listed files use and that the check at start does not list."""
    listed = list_names()
    return [
        f"{source.path}:{line} uses {name}"
        for source in tree.python()
        if source.path.startswith(FILES)
        for line, name in uses(source)
        if name not in listed and "." not in name
    ]


def find_unused_names(tree: SourceTree) -> list[str]:
    """Return names that the check at start lists and that no listed file mentions."""
    words = {
        word for source in tree.python() if source.path.startswith(FILES) for word in re.findall(r"\w+", source.text)
    }
    return sorted(list_names() - words)


def find_idle_exceptions(tree: SourceTree) -> list[str]:
    """Return names in `SHARED` that the start-up check does not list, or that no object elsewhere has."""
    used = {
        node.attr
        for source in tree.python(*PRODUCT, "clients", "bench")
        if not source.path.startswith(FILES)
        for node in source.nodes
        if isinstance(node, ast.Attribute)
    }
    return [name for name in SHARED.split() if name not in list_names() & used]


def list_names() -> set[str]:
    """Return the names in the start-up check, with those that some versions lack."""
    listed = [names for owners in INTERNALS.values() for names in owners.values()]
    return {name for names in (*listed, *LATER_NAMES.values()) for name in names.split()}


@cache
def uses(source: Source) -> list[tuple[int, str]]:
    """Return the private names of libraries' objects that a file uses, and the internal modules that it imports."""
    rules = (_attributes, _names_in_texts, _inherited, _overridden, _internal_imports, undocumented_names.find)
    return sorted({found for rule in rules for found in rule(source)})


def _attributes(source: Source) -> Iterator[tuple[int, str]]:
    """Yield `something._name`: of our own objects only `self` and `cls` are asked for private names."""
    for node in source.nodes:
        if not isinstance(node, ast.Attribute) or _is_own(node.value) or _is_of_python(source, node):
            continue
        if is_private(node.attr) or node.attr in _GUARDED:
            yield node.lineno, node.attr


def _is_own(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _is_of_python(source: Source, node: ast.Attribute) -> bool:
    return source.resolve(node).split(".")[0] in sys.stdlib_module_names


def _names_in_texts(source: Source) -> Iterator[tuple[int, str]]:
    """Yield the private names in `getattr(something, "_name")` and the like."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and dotted(node.func) in _BY_NAME and len(node.args) > 1:
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(str(name.value)) and not _is_own(node.args[0]):
                yield node.lineno, str(name.value)


def _inherited(source: Source) -> Iterator[tuple[int, str]]:
    """Yield undocumented names of a library's class that a class derived from it uses as its own, or overrides."""
    for node in source.classes:
        for base in node.bases:
            full = source.resolve(base)
            if full.split(".")[0] in _DOCUMENTED:
                for line, name in _own_names(node):
                    if name not in _OVERRIDABLE.split() and not name.startswith("__") and _has(full, name):
                        yield line, name


def _overridden(source: Source) -> Iterator[tuple[int, str]]:
    """Yield methods of a library that a class overrides and calls, unless the library documents them."""
    local, overridable = {node.name for node in source.classes}, _OVERRIDABLE.split()
    for node in source.classes:
        if all(within(source.resolve(base), "swallowtail") or dotted(base) in local for base in node.bases):
            continue
        for part in ast.walk(node):
            if (
                isinstance(part, ast.Attribute)
                and part.attr not in overridable
                and ast.unparse(part.value) == "super()"
            ):
                yield part.lineno, part.attr


def _own_names(node: ast.ClassDef) -> Iterator[tuple[int, str]]:
    """Yield the names that a class defines as methods or uses of its own objects."""
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and _is_own(part.value):
            yield part.lineno, part.attr
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
            yield part.lineno, part.name


@cache
def _has(full: str, name: str) -> bool:
    """Return whether a library's class has a name, also one that its methods set."""
    if within(full, "eventlet"):
        # Once imported, it warns at every later fork of this process.
        return True
    owner: Any = _load(full)
    methods = [item for part in owner.__mro__ for item in vars(part).values() if hasattr(item, "__code__")]
    return hasattr(owner, name) or any(name in method.__code__.co_names for method in methods)


def _load(full: str) -> Any:
    module, _, name = full.rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return getattr(import_module(module), name)
        except ImportError:
            # A class of a class, or of an object that the module holds.
            return getattr(_load(module), name)


def _internal_imports(source: Source) -> Iterator[tuple[int, str]]:
    """Yield modules that a library does not document, and private names imported from it."""
    for found in source.imports:
        root = found.module.split(".")[0]
        if root not in _DOCUMENTED:
            continue
        if is_private(found.name):
            yield found.line, found.name
        for name in (found.module, found.full):
            if name not in _DOCUMENTED[root] and _is_module(name):
                yield found.line, name


@cache
def _is_module(name: str) -> bool:
    # Not by an import: eventlet, once imported, warns at every later fork of this process.
    root, *parts = name.split(".")
    library = PathFinder.find_spec(root)
    folders = library.submodule_search_locations if library is not None else None
    paths = [Path(folder, *parts) for folder in folders or ()]
    return any(path.is_dir() or path.with_suffix(".py").is_file() for path in paths)


def is_private(name: str) -> bool:
    """Return whether a name begins with one underscore."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


_GUARDED = {name for name in list_names() if not is_private(name) and name not in SHARED.split()}
