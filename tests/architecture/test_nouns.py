"""Each noun has one class: no two classes have the same name or the same fields; each control adds a second one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.source_tree import PRODUCT, SourceTree, added, read_tree

#: A row of a table is no payload, and a client library has its own classes since it imports nothing of ours.
_APART = ("app/core/tables/", "clients/")
#: Classes with fewer fields may have them in common by chance.
_FEWEST_FIELDS = 3


def find_repeated_nouns(tree: SourceTree) -> list[str]:
    """Return classes that have the name or the fields of an earlier one."""
    seen: dict[object, str] = {}
    found = []
    for source in tree.python(*PRODUCT):
        if source.path.startswith(_APART):
            continue
        for node in source.classes:
            place = f"{source.path}:{node.lineno} {node.name}"
            for key in _keys(node):
                if key in seen:
                    found.append(f"{place} repeats {seen[key]}")
                seen.setdefault(key, place)
    return found


def _keys(node: ast.ClassDef) -> Iterator[object]:
    if not node.name.startswith("_"):
        yield node.name
    fields = frozenset(
        item.target.id for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    )
    if len(fields) >= _FEWEST_FIELDS:
        yield fields


def test_no_class_repeats_another() -> None:
    assert find_repeated_nouns(read_tree()) == []


@pytest.mark.parametrize(
    "code", ["class Caller: ...", "class Who:\n    actor: int\n    entrance: str\n    address: str"]
)
def test_a_class_that_repeats_another_is_found(code: str) -> None:
    assert len(added(find_repeated_nouns, "app/web/new.py", code)) == 1
