"""Finds words in names and texts that say less than the field's own nouns."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Collection, Iterator
from functools import cache

from tests.architecture.source_tree import PRODUCT, Source, SourceTree, dotted

_TOPS = (*PRODUCT, "clients", "bench", "tests")
#: This rule and its controls.
_KEPT = ("tests/architecture/",)

#: Words that no docstring, comment, document or text for a person contains.
TEXT_WORDS = re.findall(
    r"\w+",
    """
anybody deed deeds door doors doorbell doorstep doorsteps ear ears everybody farewell gate gates hand handed handing
hands hear heard hears herd house lens lobby mint minted minting mints nobody outline outlines pulse pulses ring rings
road roads sight somebody stage stages tell telling tells told turnstile vouch vouched vouches vouching warden
watcher watchers whatever whoever wish wishes

deaf hindmost reaper reapers voucher vouchers
""",
)
#: Words that no file, class, function, argument or variable is called, alone or as a part of its name.
NAME_WORDS = re.findall(
    r"\w+",
    """
anybody deed deeds door doorbell doors doorstep ear everybody farewell gate gates given hand handed hear heard herd lens
lobby mint minted nobody outline outlines pulse ring road roads sight somebody stage stages told turnstile vouch warden
watcher watchers whoever wish wishes

deaf deafen doubt doubted doubts hindmost hurried hurry minter reap reaped reaper reapers vouched voucher vouchers
vouching
""",
)
#: Words that no class is called, alone or as a part of its name; a function may be a command of this name.
CLASS_WORDS = ("watch", "watched")
#: Settings, the metric, and actions and operations of the REST API keep their names.
_KEPT_NAMES = (
    "deaf_after", "mint_front_end_token", "mint_token", "ring_bytes", "ring_events", "swallowtail_deaf", "token.mint"
)  # fmt: skip
#: Words that no variable is called, and those that none of the product, the clients and the benchmark is called.
VARIABLES = ("found", "given", "told")
PRODUCT_VARIABLES = ("chosen", "kept", "made", "mine", "taken", "wanted")

TEXT = re.compile(rf"\b(?:{'|'.join(TEXT_WORDS)})\b", re.IGNORECASE)
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
#: Calls whose text arguments a person reads, in the tests; the product's texts are all read.
_LOGS = ("debug", "info", "warning", "error", "exception", "critical")
_MESSAGES = (*_LOGS, "write", "print", "exit", "fail", "skip")
#: Agents and readers of documents hold words of documents, which are not ours.
_WORDS_OF_DOCUMENTS = ("workers/agents/", "workers/llm/", "workers/reading/")


def find_text_words(tree: SourceTree) -> list[str]:
    """Return such words in docstrings, comments and messages of Python, and in the documents."""
    found = [f"{source.path}:{line} {word}" for source in _sources(tree) for line, word in _words_of(source)]
    for path, text in tree.texts.items():
        if path.endswith(".md") and not is_excepted(path):
            found += [f"{path}:{number} {word}" for number, word in _in_lines(1, text)]
    return found


def find_name_words(tree: SourceTree) -> list[str]:
    """Return files, classes, functions, arguments, variables and log events with such words in their names."""
    found = [path for path in tree.texts if path.startswith(_TOPS) and not is_excepted(path) and is_bad_name(path)]
    for source in _sources(tree):
        found += [f"{source.path}:{line} {name}" for line, name in _bad_names(source)]
    return found


def _sources(tree: SourceTree) -> list[Source]:
    return [source for source in tree.python(*_TOPS) if not is_excepted(source.path)]


def is_excepted(path: str) -> bool:
    """Return whether a file keeps its words."""
    return path.startswith(_KEPT)


@cache
def _words_of(source: Source) -> list[tuple[int, str]]:
    if not TEXT.search(source.text):
        return []
    return [
        item
        for line, text in [*_documentation(source), *_comments(source), *_messages(source)]
        for item in _in_lines(line, text)
    ]


def _in_lines(first: int, text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), first):
        # Code in backquotes keeps its names.
        yield from ((number, word) for word in TEXT.findall(re.sub(r"`[^`]*`", "", line)))


def _documentation(source: Source) -> Iterator[tuple[int, str]]:
    for node in source.nodes:
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        match node.body[:1]:
            case [ast.Expr(value=ast.Constant(value=str() as text))]:
                yield node.body[0].lineno, text


def _comments(source: Source) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def _messages(source: Source) -> Iterator[tuple[int, str]]:
    if source.path.startswith(PRODUCT) and not source.path.startswith(_WORDS_OF_DOCUMENTS):
        documentation = {line for line, _ in _documentation(source)}
        yield from (item for item in _texts_in(source.tree) if item[0] not in documentation)
        return
    for node in source.nodes:
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield from _texts_in(node.exc)
        elif isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _MESSAGES:
            yield from _texts_in(node)


def _texts_in(node: ast.AST) -> Iterator[tuple[int, str]]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value:
            yield part.lineno, part.value


@cache
def _bad_names(source: Source) -> list[tuple[int, str]]:
    variables = VARIABLES if source.path.startswith("tests/") else (*VARIABLES, *PRODUCT_VARIABLES)
    bad = {(line, name) for line, name in _names(source) if is_bad_name(name) or name in variables}
    classes = {(node.lineno, node.name) for node in source.classes if _has_part(node.name, CLASS_WORDS)}
    return sorted(bad | classes)


def _names(source: Source) -> Iterator[tuple[int, str]]:
    for node in source.nodes:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in _LOGS:
            match node.args[:1]:
                case [ast.Constant(value=str() as event)] if " " not in event:
                    yield node.lineno, event


def is_bad_name(name: str) -> bool:
    """Return whether a name has such a word as a part."""
    return name not in _KEPT_NAMES and _has_part(name, NAME_WORDS)


def _has_part(name: str, words: Collection[str]) -> bool:
    return any(part.lower() in words for part in _PART.findall(name))
