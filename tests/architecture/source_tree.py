"""Reads the repository's files once and offers their syntax trees; a copy with changed files serves as a control."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

from tests.harness.program import ROOT

#: Folders whose Python files form the product.
PRODUCT = ("app", "workers", "scripts", "swallowtail")
#: Folders that are imported under the product's name: `app/web` is `swallowtail.app.web`.
_MAPPED = {
    "app": "swallowtail.app",
    "workers": "swallowtail.workers",
    "scripts": "swallowtail.scripts",
    "clients/python": "swallowtail.client",
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One imported name: `from module import name`, or `import module` with an empty name."""

    line: int
    module: str
    name: str
    #: The name under which the file uses it.
    local: str

    @property
    def full(self) -> str:
        """The imported name with its module."""
        return f"{self.module}.{self.name}" if self.name else self.module


class Source:
    """One Python file."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @property
    def module(self) -> str:
        """The name under which the file is imported."""
        path = self.path.removesuffix(".py").removesuffix("/__init__")
        for folder, package in _MAPPED.items():
            if path == folder or path.startswith(f"{folder}/"):
                path = package + path.removeprefix(folder)
        return path.replace("/", ".")

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, filename=self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the syntax tree."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """All imports, including those inside functions and type-checking blocks. A relative one begins with a dot."""
        return tuple(found for node in self.nodes for found in _imports_of(node))

    @cached_property
    def names(self) -> dict[str, str]:
        """Each imported name as the file uses it, and its full name."""
        # `import a.b` makes only `a` known, with the same name.
        return {
            found.local: found.local if within(found.full, found.local) and not found.name else found.full
            for found in self.imports
        }

    @property
    def functions(self) -> Iterator[Function]:
        """All functions and methods."""
        return (node for node in self.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))

    @property
    def classes(self) -> Iterator[ast.ClassDef]:
        """All classes."""
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))

    def resolve(self, node: ast.expr) -> str:
        """Return the full name of an imported name or of its attribute; an empty text for other expressions."""
        parts = dotted(node).split(".")
        return ".".join([self.names[parts[0]], *parts[1:]]) if parts[0] in self.names else ""


class SourceTree:
    """The files of the repository by their paths."""

    def __init__(self, texts: Mapping[str, str], sources: Mapping[str, Source]) -> None:
        self.texts = texts
        self._sources = sources

    def python(self, *tops: str) -> list[Source]:
        """Return the Python files below these folders; those of the product by default."""
        below = tuple(f"{top}/" for top in tops or PRODUCT)
        return [source for path, source in self._sources.items() if path.startswith(below)]

    def source(self, path: str) -> Source:
        """Return one Python file."""
        return self._sources[path]

    def appended(self, path: str, code: str) -> SourceTree:
        """Return a copy in which a file ends with `code`; the file may be new."""
        text = f"{self.texts.get(path, '')}\n{code}\n"
        sources = {**self._sources, path: Source(path, text)} if path.endswith(".py") else self._sources
        return SourceTree({**self.texts, path: text}, sources)


@cache
def read_tree() -> SourceTree:
    """Read every file that is tracked or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = sorted(path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file())
    texts = {path: (ROOT / path).read_text(encoding="utf-8", errors="replace") for path in paths}
    return SourceTree(texts, {path: Source(path, text) for path, text in texts.items() if path.endswith(".py")})


def added(rule: Callable[[SourceTree], list[str]], path: str, code: str) -> list[str]:
    """Return what a rule finds once a file ends with `code`, and did not find before."""
    before = _before(rule)
    return [wrong for wrong in rule(read_tree().appended(path, code)) if wrong not in before]


@cache
def _before(rule: Callable[[SourceTree], list[str]]) -> frozenset[str]:
    return frozenset(rule(read_tree()))


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for such an expression; an empty text for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def within(module: str, package: str) -> bool:
    """Return whether a module is the package or lies in it."""
    return module == package or module.startswith(f"{package}.")


def _imports_of(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(node.lineno, alias.name, "", alias.asname or alias.name.partition(".")[0])
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield Import(node.lineno, "." * node.level + (node.module or ""), alias.name, alias.asname or alias.name)
    elif isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in ("import_module", "__import__"):
        match node.args[:1]:
            case [ast.Constant(value=str() as module)]:
                # Such an import makes no name known; no name has this text.
                yield Import(node.lineno, module, "", f"import {module}")
