"""Finds imports between packages that the table of arrows does not allow."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.arrows import ARROWS
from tests.architecture.source_tree import PRODUCT, Source, SourceTree

#: Packages whose files each count as a package of its own.
_TOPS = ("", "core", "web", "delivery", "workers", "scripts")
#: Packages of which others import single modules: an arrow names the module.
_BY_MODULE = ("core.ledger",)
_OLD_NAMES = ("app", "workers", "scripts")
#: Modules that offer names of others to users.
_PUBLIC = ("swallowtail/", "clients/python/__init__.py")


def find_forbidden_imports(tree: SourceTree) -> list[str]:
    """Return every import between two packages that has no arrow, with its place."""
    return [
        f"{source.path}:{line} imports {target}: no arrow {package} -> {target} in tests/architecture/arrows.py"
        for source, line, package, target in _imports_between_packages(tree)
        if target not in ARROWS.get(package, "").split()
    ]


def find_unlisted_packages(tree: SourceTree) -> list[str]:
    """Return packages that the table does not list, and listed packages that do not exist."""
    present = {_own_package(source) for source in _importing(tree)}
    return [
        f"{package} is {'listed' if package in ARROWS else 'present'} only" for package in sorted(present ^ set(ARROWS))
    ]


def find_unused_arrows(tree: SourceTree) -> list[str]:
    """Return arrows that no import uses."""
    used = {(package, target) for _, _, package, target in _imports_between_packages(tree)}
    return [f"{package} -> {target}" for package, target in _arrows() if (package, target) not in used]


def find_cycles() -> list[str]:
    """Return arrows that do not point to a package higher up in the table: without such arrows there is no cycle."""
    order = {package: place for place, package in enumerate(ARROWS)}
    return [
        f"{package} -> {target}"
        for package, target in _arrows()
        if order.get(_listed(target), len(order)) >= order[package]
    ]


def find_relative_imports(tree: SourceTree) -> list[str]:
    """Return relative imports, and imports under a folder's bare name. The clients are packages that others copy."""
    return [
        f"{source.path}:{found.line} imports {found.full}"
        for source in tree.python(*PRODUCT, "tests", "bench")
        for found in source.imports
        if found.module.startswith(".") or found.module.split(".")[0] in _OLD_NAMES
    ]


def find_imports_of_ours_by_clients(tree: SourceTree) -> list[str]:
    """Return imports of the product by the client libraries, which are used without it."""
    return [
        f"{source.path}:{found.line} imports {found.full}"
        for source in tree.python("clients")
        for found in source.imports
        if found.module.split(".")[0] == "swallowtail"
    ]


def find_indirect_imports(tree: SourceTree) -> list[str]:
    """Return imports of a name from a module that only imports it, and lists of exported names in modules of ours."""
    ours = {source.module: source for source in tree.python() if not source.path.startswith(_PUBLIC)}
    indirect = [
        f"{source.path}:{found.line} imports {found.full}, which is {ours[found.module].names[found.name]}"
        for source in tree.python(*PRODUCT, "tests", "bench")
        for found in source.imports
        if found.module in ours and found.name in ours[found.module].names
    ]
    return indirect + [
        f"{source.path}:{node.lineno} has __all__"
        for source in tree.python(*PRODUCT, "clients")
        if not source.path.startswith(_PUBLIC)
        for node in source.nodes
        if isinstance(node, ast.Name) and node.id == "__all__"
    ]


def package_of(module: str) -> str:
    """Return the short name of the package that a module counts to: `core.ledger`, `web.factory`, `swallowtail`."""
    short = _short(module)
    parent = short.rpartition(".")[0]
    return short if parent in _TOPS else parent


def _imports_between_packages(tree: SourceTree) -> Iterator[tuple[Source, int, str, str]]:
    modules = {source.module: source for source in tree.python()}
    for source in _importing(tree):
        package = _own_package(source)
        for found in source.imports:
            module = found.full if found.full in modules else found.module
            target = _target(module, modules[module]) if module in modules else package
            if package not in (target, _listed(target)):
                yield source, found.line, package, target


def _importing(tree: SourceTree) -> list[Source]:
    """Return the files that can import: the `__init__.py` of a folder holds only its docstring."""
    return [source for source in tree.python() if source.imports or not source.path.endswith("/__init__.py")]


def _own_package(source: Source) -> str:
    return _short(source.module) if source.path.endswith("/__init__.py") else package_of(source.module)


def _target(module: str, source: Source) -> str:
    short = _short(module)
    return short if short.rpartition(".")[0] in _BY_MODULE else _own_package(source)


def _listed(target: str) -> str:
    return target if target in ARROWS else target.rpartition(".")[0]


def _arrows() -> Iterator[tuple[str, str]]:
    return ((package, target) for package, targets in ARROWS.items() for target in targets.split())


def _short(module: str) -> str:
    return module.removeprefix("swallowtail.").removeprefix("app.")
