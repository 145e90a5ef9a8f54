"""Packages import only what the table of arrows allows; each control adds one forbidden import."""

from __future__ import annotations

import pytest

from tests.architecture import package_graph
from tests.architecture.arrows import ARROWS
from tests.architecture.source_tree import added, read_tree


def test_every_import_between_packages_has_an_arrow() -> None:
    assert package_graph.find_forbidden_imports(read_tree()) == []


def test_the_table_lists_every_package_and_no_other() -> None:
    assert package_graph.find_unlisted_packages(read_tree()) == []


def test_every_arrow_is_used() -> None:
    assert package_graph.find_unused_arrows(read_tree()) == []


def test_every_arrow_points_up_in_the_table() -> None:
    assert package_graph.find_cycles() == []


def test_imports_are_absolute_and_under_the_import_name() -> None:
    assert package_graph.find_relative_imports(read_tree()) == []


def test_client_libraries_do_not_import_the_product() -> None:
    assert package_graph.find_imports_of_ours_by_clients(read_tree()) == []


def test_names_are_imported_from_where_they_are_defined() -> None:
    assert package_graph.find_indirect_imports(read_tree()) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("app/delivery/access_monitor.py", "from swallowtail.app.core.ledger.tasks import TaskWriter"),
        ("app/delivery/access_monitor.py", "from swallowtail.app.core.ledger import transitions"),
        ("app/delivery/hub.py", "import swallowtail.app.core.ledger.transitions"),
        ("app/delivery/hub.py", "importlib.import_module('swallowtail.app.core.ledger.tasks')"),
        ("app/core/queries/snapshot.py", "from swallowtail.app.core.ledger.tasks import TaskWriter"),
        ("app/core/errors.py", "from swallowtail.app.core.config.settings import Settings"),
        ("app/web/socketio/handlers.py", "def late():\n    from swallowtail.app.core.ledger import transitions"),
        ("app/web/pages/views.py", "if TYPE_CHECKING:\n    from swallowtail.app.core.ledger.tasks import TaskWriter"),
        ("app/web/websocket/frames.py", "from swallowtail.app.web.engineio import packets"),
        ("workers/run/context.py", "from swallowtail.workers import celery_app"),
        ("workers/run_task.py", "from swallowtail.app.web.factory import create_app"),
        ("scripts/banner.py", "from swallowtail.scripts.processes.up import main"),
    ],
)
def test_an_import_without_an_arrow_is_found(path: str, code: str) -> None:
    found = added(package_graph.find_forbidden_imports, path, code)
    assert [wrong.split(":")[0] for wrong in found] == [path]


def test_a_package_outside_the_table_is_found() -> None:
    found = added(package_graph.find_unlisted_packages, "app/core/extras/file.py", "import os")
    assert found == ["core.extras is present only"]


def test_an_arrow_without_an_import_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARROWS, "core.errors", "core.ledger.tasks")
    assert package_graph.find_unused_arrows(read_tree()) == ["core.errors -> core.ledger.tasks"]


def test_an_arrow_that_points_down_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARROWS, "core.errors", "core.config")
    assert package_graph.find_cycles() == ["core.errors -> core.config"]


@pytest.mark.parametrize("code", ["from . import errors", "import app.core.errors", "from workers import run_task"])
def test_a_relative_import_or_one_under_a_bare_folder_name_is_found(code: str) -> None:
    assert len(added(package_graph.find_relative_imports, "tests/core/test_new.py", code)) == 1


def test_a_client_library_that_imports_the_product_is_found() -> None:
    code = "import swallowtail.app.core.errors"
    assert len(added(package_graph.find_imports_of_ours_by_clients, "clients/python/new.py", code)) == 1


@pytest.mark.parametrize(
    "code", ["from swallowtail.app.core.ledger.runs import Claim", "__all__ = ['Claim']", "__all__: list[str] = []"]
)
def test_a_name_that_a_module_only_passes_on_is_found(code: str) -> None:
    assert len(added(package_graph.find_indirect_imports, "workers/run/new.py", code)) == 1
