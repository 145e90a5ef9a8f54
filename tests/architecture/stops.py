"""Compares the stop labels of modules with the numbered stops of the walkthrough."""

from __future__ import annotations

import ast
import re

from tests.architecture.source_tree import SourceTree

_WALKTHROUGH = "docs/walkthrough.md"
MOST_STOPS = 12
_LABEL = re.compile(r"Stop (\d+) of (\d+): ")
_ANY_LABEL = re.compile(
    r"\bstop \d+\b|\b(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|last) stop\b", re.I
)
#: `## Stop 3 of 12: title`, or `## 3. title`; the first file in backquotes below it is the stop.
_HEADING = re.compile(r"^#+ (?:Stop )?(\d+)(?: of \d+)?[.:] [^\n]*$", re.MULTILINE)
_FILE = re.compile(r"`((?:app|workers|scripts)/[\w/]+\.py)`")


def find_wrong_stops(tree: SourceTree) -> list[str]:
    """Return labels that differ from the walkthrough, and other mentions of stops in docstrings."""
    labels, found = {}, []
    for source in tree.python():
        text = ast.get_docstring(source.tree) or ""
        if label := _LABEL.match(text):
            labels[source.path] = (int(label[1]), int(label[2]))
            text = text[label.end() :]
        if _ANY_LABEL.search(text):
            found.append(f"{source.path} mentions a stop")
    stops = walkthrough_stops(tree)
    expected = {path: (number, len(stops)) for number, path in stops}
    found += [f"{path} is labelled {label}" for path, label in labels.items() if expected.get(path) != label]
    found += [f"{path} has no label {label}" for path, label in expected.items() if path not in labels]
    return found


def walkthrough_stops(tree: SourceTree) -> list[tuple[int, str]]:
    """Return the number and the file of each stop of the walkthrough."""
    text = tree.texts[_WALKTHROUGH]
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    sections = [(int(heading[1]), text[heading.end() : end]) for heading, end in zip(headings, ends, strict=True)]
    return [(number, file[1]) for number, section in sections if (file := _FILE.search(section))]
