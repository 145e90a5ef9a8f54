"""No method is called by a name in a string, and no object is copied; each control adds one such call."""

from __future__ import annotations

import pytest

from tests.architecture import calls
from tests.architecture.source_tree import added, read_tree

_PATH = "workers/receivers.py"


def test_no_method_is_called_by_a_name_in_a_string() -> None:
    assert calls.find_calls_by_name(read_tree()) == []


def test_no_object_is_copied() -> None:
    assert calls.find_copies(read_tree()) == []


@pytest.mark.parametrize(
    "code",
    [
        "getattr(proposals, name)(1)",
        "getattr(proposals, 'lost')(1)",
        "m = getattr(proposals, name)\nm(1)",
        "m = getattr(proposals, 'lost', None)\nm(1)",
        "if m := getattr(proposals, 'lost'):\n    m(1)",
        "import operator\noperator.methodcaller('lost', 1)(proposals)",
    ],
)
def test_a_call_by_name_is_found(code: str) -> None:
    assert len(added(calls.find_calls_by_name, _PATH, code)) == 1


@pytest.mark.parametrize("name", ["copy", "deepcopy"])
def test_a_copy_is_found(name: str) -> None:
    assert len(added(calls.find_copies, _PATH, f"import copy\ncopy.{name}(ledger)")) == 1
