"""Finds files, functions, classes and folders that are larger than the limits, in Python, JavaScript and CSS."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache

from tests.architecture.source_tree import PRODUCT, Function, Source, SourceTree

FILE_LINES = 300
FUNCTION_LINES = 40
CLASS_LINES = 200
CLASS_METHODS = 20
#: Modules (`__init__` too) or scripts in one folder, without those in the folders below it.
FOLDER_FILES = 16

_TOPS = (*PRODUCT, "clients", "bench", "tests")
#: A migration is one list of tables, and stays as it was released.
_RELEASED = "app/migrations/versions/"
#: Built from other files, or copied from a library.
_NOT_OURS = ("app/web/static/vendor/",)
#: The line that opens the body of a JavaScript function: a method, a `function` or an arrow, named or not.
_SCRIPT_FUNCTION = re.compile(
    r"^(?P<indent> *)(?!(?:if|for|while|switch|catch|with)\()"
    r"(?:(?:static |async |get |set |\*)*[^\s(]+\(.*\) \{|.*\bfunction\b.*\{|.*=> \{|\) \{)$"
)
_SCRIPT_CLASS = re.compile(r"^(?P<indent> *)(?:export )?(?:default )?class\b.*\{$")


def find_oversized(tree: SourceTree) -> list[str]:
    """Return files, functions and classes above a limit."""
    found = [*_long_files(tree)]
    for source in tree.python(*_TOPS):
        if not source.path.startswith(_RELEASED):
            found += _long_parts(source)
    for path, text in tree.texts.items():
        if path.endswith((".js", ".mjs")) and not path.startswith(_NOT_OURS):
            found += _long_script_parts(path, text)
    return found


def find_crowded_folders(tree: SourceTree) -> list[str]:
    """Return folders that hold too many files of one kind."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in tree.texts:
        folder, kind = path.rpartition("/")[0], path.rpartition(".")[2]
        is_ours = path.startswith(tuple(f"{top}/" for top in _TOPS)) and not path.startswith((*_NOT_OURS, _RELEASED))
        if is_ours and kind in ("py", "js", "mjs", "css"):
            counts[folder, kind] += 1
    return [f"{folder}: {count} {kind} files" for (folder, kind), count in counts.items() if count > FOLDER_FILES]


def _long_files(tree: SourceTree) -> Iterator[str]:
    for path, text in tree.texts.items():
        ours = path.endswith((".py", ".js", ".mjs", ".css")) and not path.startswith((*_NOT_OURS, _RELEASED))
        lines = text.count("\n")
        if ours and lines > FILE_LINES:
            yield f"{path}: {lines} lines"


@cache
def _long_parts(source: Source) -> list[str]:
    return [*_long_functions(source), *_long_classes(source)]


def _long_functions(source: Source) -> Iterator[str]:
    for node in source.functions:
        if (lines := count_lines(node)) > FUNCTION_LINES:
            yield f"{source.path}:{node.lineno} {node.name} has {lines} lines"


def _long_classes(source: Source) -> Iterator[str]:
    for node in source.classes:
        methods = [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
        if (lines := count_lines(node)) > CLASS_LINES:
            yield f"{source.path}:{node.lineno} class {node.name} has {lines} lines"
        if len(methods) > CLASS_METHODS:
            yield f"{source.path}:{node.lineno} class {node.name} has {len(methods)} methods"


def count_lines(node: Function | ast.ClassDef) -> int:
    """Return the lines of a function or class from its first to its last, without its own docstring."""
    first = node.body[0]
    documented = ast.get_docstring(node, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


@cache
def _long_script_parts(path: str, text: str) -> list[str]:
    return list(_measure_script(path, text))


def _measure_script(path: str, text: str) -> Iterator[str]:
    """Find long functions and classes by their indentation: the closing brace has that of the first line."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        is_class = _SCRIPT_CLASS.match(line)
        start = is_class or _SCRIPT_FUNCTION.match(line)
        if start is None:
            continue
        end = next((at for at in range(number + 1, len(lines)) if lines[at].startswith(f"{start['indent']}}}")), number)
        length = end - number + 1
        if length > (CLASS_LINES if is_class else FUNCTION_LINES):
            yield f"{path}:{number + 1} {line.strip()} has {length} lines"
        if is_class:
            inside = f"{start['indent']}  "
            methods = [item for item in lines[number + 1 : end] if _is_method(item, inside)]
            if len(methods) > CLASS_METHODS:
                yield f"{path}:{number + 1} {line.strip()} has {len(methods)} methods"


def _is_method(line: str, indent: str) -> bool:
    start = _SCRIPT_FUNCTION.match(line)
    return start is not None and start["indent"] == indent
