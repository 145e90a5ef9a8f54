"""No method is called by a name in a string, no object is copied or constructed twice; each control adds a call."""

from __future__ import annotations

import pytest

from tests.architecture import calls
from tests.architecture.source_tree import added, read_tree

_PATH = "workers/receivers.py"


def test_no_method_is_called_by_a_name_in_a_string() -> None:
    assert calls.find_calls_by_name(read_tree()) == []


def test_no_object_is_copied() -> None:
    assert calls.find_copies(read_tree()) == []


def test_a_process_constructs_once_what_parses_settings() -> None:
    assert calls.find_repeated_constructions(read_tree()) == []


@pytest.mark.parametrize("path", ["app/web/limits/limits.py", "app/web/http/request_guard.py"])
def test_a_second_construction_is_found(path: str) -> None:
    code = "from swallowtail.app.web.http.trusted_proxies import TrustedProxies\nTrustedProxies('')"
    assert len(added(calls.find_repeated_constructions, path, code)) == 1


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
