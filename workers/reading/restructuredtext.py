"""Reads reStructuredText into blocks.

docutils may neither include files nor pass raw markup through, and reads no configuration files. Of unknown directives
and roles (those of Sphinx), at most the text is kept.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.core import publish_doctree, publish_from_doctree

from swallowtail.workers.reading.blocks import Block
from swallowtail.workers.reading.html import read_html

SETTINGS: dict[str, Any] = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 5,
    "halt_level": 6,
    "warning_stream": False,
    "syntax_highlight": "none",
    "smart_quotes": False,
    "embed_stylesheet": False,
    "stylesheet_path": [],
    "math_output": "LaTeX",
    "toc_backlinks": False,
    "doctitle_xform": True,
    "sectsubtitle_xform": False,
    "line_length_limit": 100_000,
}
#: Nodes that are not text of the document.
_NO_TEXT = (
    nodes.comment,
    nodes.system_message,
    nodes.image,
    nodes.docinfo,
    nodes.literal_block,
    nodes.doctest_block,
    nodes.math_block,
    nodes.raw,
    nodes.footnote,
    nodes.citation,
    nodes.footnote_reference,
    nodes.citation_reference,
    nodes.substitution_definition,
    nodes.target,
    nodes.topic,
    nodes.header,
    nodes.footer,
    nodes.field_list,
    nodes.option_list,
    nodes.pending,
)
#: The space before a footnote reference that was removed.
_BEFORE_STOP = re.compile(r" ([.,])(?=\s|$)")
_ROLE = re.compile(r":[\w:+.-]{1,60}:`([^`]{1,300})`")
_ROLE_TARGET = re.compile(r"\s*<[^<>]{0,300}>$")


def read_restructured(source: str) -> tuple[str, list[Block], bool]:
    """Return the document's title, its blocks, and whether it was nested too deeply to be read completely."""
    tree = publish_doctree(source, settings_overrides=SETTINGS)
    for node in list(tree.findall(nodes.problematic)):
        words = _words_of(node.astext())
        node.parent.replace(node, nodes.reference("", words, refuri="#"))
    for node in list(tree.findall(lambda node: isinstance(node, _NO_TEXT))):
        node.parent.replace(node, list(node.children) if isinstance(node, nodes.target) else [])
    for note in list(tree.findall(nodes.Admonition)):
        note.parent.replace(note, [child for child in note.children if not isinstance(child, nodes.title)])
    title = str(tree.get("title", ""))
    page = publish_from_doctree(tree, writer="html5", settings_overrides=SETTINGS).decode("utf-8", "replace")
    _, blocks, cut = read_html(page)
    return title, [Block(block.kind, _BEFORE_STOP.sub(r"\1", block.text), block.level) for block in blocks], cut


def _words_of(problem: str) -> str:
    """Return the text of markup that could not be resolved: of a role or a link, but not of a substitution."""
    role = _ROLE.fullmatch(problem)
    if role:
        return _ROLE_TARGET.sub("", role[1]).lstrip("~!").rsplit("/", 1)[-1]
    if problem.startswith("|"):
        return ""
    return _ROLE_TARGET.sub("", problem.strip("`_*| ").lstrip("["))
