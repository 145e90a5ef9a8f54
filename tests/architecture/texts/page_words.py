"""Finds such words in the templates, scripts and style sheets: in texts, identifiers, ids and class names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from tests.architecture.source_tree import SourceTree
from tests.architecture.texts import words

#: Comments, strings and identifiers of JavaScript, in the order in which one may contain the next.
_SCRIPT = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)|(?P<template>`(?:\\.|[^`\\])*`)"""
    r"""|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(?P<name>[A-Za-z_$][\w$]*)""",
    re.DOTALL,
)
_INTERPOLATION = re.compile(r"\$\{([^{}]*)\}")
_DECLARED = re.compile(rf"\b(?:const|let|var)\s+({'|'.join(words.VARIABLES)})\b")
#: Comments of a page, its expressions and its tags.
_COMMENT = re.compile(r"<!--(.*?)-->|\{#(.*?)#\}", re.DOTALL)
_EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")
_QUOTED = re.compile(r"""(["'])((?:(?!\1).)*)\1""", re.DOTALL)
#: Attributes whose values are names of ours, and those that a person reads.
_NAMING = re.compile(r"""\b(?:id|class|for|aria-(?:labelledby|describedby|controls))="([^"]*)"|\b(data-[\w-]+)""")
_SHOWN = re.compile(r"""\b(?:title|alt|placeholder|aria-label)="([^"]*)\"""")
#: The text before a block of declarations: selectors, and rules such as `@media`.
_SELECTOR = re.compile(r"[^{};]+(?=\{)")
_STYLE_NAME = re.compile(r"[.#]([A-Za-z_][\w-]*)|\[(data-[\w-]+)|(--[A-Za-z][\w-]*)")
_STYLE_COMMENT = re.compile(r"/\*(.*?)\*/", re.DOTALL)


def find_page_words(tree: SourceTree) -> list[str]:
    """Return such words in templates and pages, JavaScript and CSS."""
    return [
        f"{path} {word}"
        for path, text in tree.texts.items()
        if path.endswith((".html", ".js", ".mjs", ".css")) and "/vendor/" not in path and not words.is_excepted(path)
        for word in _words_in(path.rpartition(".")[2], text)
    ]


@cache
def _words_in(kind: str, text: str) -> list[str]:
    parts = {"html": _page_parts, "css": _style_parts}.get(kind, _script_parts)(text)
    bad = [word for part, is_name in parts for word in (_bad_name(part) if is_name else words.TEXT.findall(part))]
    return bad if kind in ("html", "css") else [*bad, *_DECLARED.findall(text)]


def _bad_name(name: str) -> list[str]:
    return [name] if words.is_bad_name(name) else []


def _script_parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the texts and names of a script, each with whether it is a name."""
    for match in _SCRIPT.finditer(text):
        part = match[0]
        if match.lastgroup == "template":
            for expression in _INTERPOLATION.findall(part):
                yield from _script_parts(expression)
            part = _INTERPOLATION.sub(" ", part)
        # A string without a space is a name: of an event, an action, a class.
        yield part.strip("\"'"), match.lastgroup == "name" or (match.lastgroup == "string" and " " not in part)


def _page_parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the texts and names of a page or template, each with whether it is a name."""
    yield from ((part, False) for match in _COMMENT.findall(text) for part in match)
    text = _COMMENT.sub("", text)
    for expression in _EXPRESSION.findall(text):
        code = "".join(expression)
        yield from ((quoted[1], " " not in quoted[1]) for quoted in _QUOTED.findall(code))
        yield from ((name, True) for name in re.findall(r"[A-Za-z_]\w*", _QUOTED.sub(" ", code)))
    text = _EXPRESSION.sub("", text)
    for tag in _TAG.findall(text):
        yield from ((shown, False) for shown in _SHOWN.findall(tag))
        yield from ((name, True) for values in _NAMING.findall(tag) for name in " ".join(values).split())
    yield _TAG.sub(" ", text), False


def _style_parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the comments and names of a style sheet, each with whether it is a name."""
    yield from ((comment, False) for comment in _STYLE_COMMENT.findall(text))
    text = _STYLE_COMMENT.sub("", text)
    places = [*_SELECTOR.findall(text), *re.findall(r"--[A-Za-z][\w-]*", text)]
    yield from ((name, True) for place in places for names in _STYLE_NAME.findall(place) for name in names if name)
