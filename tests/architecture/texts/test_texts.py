"""Files hold what each must have and nothing that none may have; each control adds one violation."""

from __future__ import annotations

import pytest

from swallowtail.app.core.config.settings import Settings
from tests.architecture.source_tree import added, read_tree
from tests.architecture.texts import texts
from tests.conftest import LONG_FILES

_SETTINGS = list(Settings.model_fields)


def test_no_file_names_a_registry_a_foreign_script_server_or_a_path_of_one_machine() -> None:
    assert texts.find_forbidden_texts(read_tree()) == []


def test_every_module_has_a_docstring_and_a_package_file_nothing_else() -> None:
    assert texts.find_modules_without_docstring(read_tree()) == []


def test_file_names_say_what_the_files_hold() -> None:
    assert texts.find_vague_names(read_tree()) == []


def test_setup_installs_every_package() -> None:
    assert texts.find_unpacked_packages(read_tree()) == []


def test_documents_name_files_classes_functions_and_settings_that_exist() -> None:
    assert texts.find_missing_files(read_tree()) == []
    assert texts.find_unknown_names(read_tree()) == []


def test_the_files_that_are_listed_as_long_exist() -> None:
    assert [file for file in LONG_FILES if f"tests/{file}" not in read_tree().texts] == []


def test_the_walkthrough_maps_every_package() -> None:
    assert texts.find_unmapped_packages(read_tree()) == []


def test_every_setting_is_documented_and_the_example_names_only_settings() -> None:
    assert texts.find_undocumented_settings(read_tree(), _SETTINGS) == []


@pytest.mark.parametrize("word", [texts.REGISTRIES[0], texts.CDNS[0], texts.MACHINE_PATHS[0] + "x"])
def test_a_forbidden_text_is_found(word: str) -> None:
    assert len(added(texts.find_forbidden_texts, "docs/walkthrough.md", f"see {word}")) == 1


@pytest.mark.parametrize(("path", "code"), [("app/web/new.py", "x = 1"), ("app/core/__init__.py", "x = 1")])
def test_a_module_without_a_docstring_or_a_package_file_with_code_is_found(path: str, code: str) -> None:
    assert len(added(texts.find_modules_without_docstring, path, code)) == 1


def test_a_vague_file_name_is_found() -> None:
    assert added(texts.find_vague_names, "app/web/utils.py", "") == ["app/web/utils.py"]


def test_a_package_that_is_not_installed_is_found() -> None:
    found = added(texts.find_unpacked_packages, "app/core/extras/file.py", '"""New."""')
    assert found == ["swallowtail.app.core.extras"]


def test_a_missing_file_in_a_document_is_found() -> None:
    for path in ("docs/walkthrough.md", "README.md", "docs/decisions/0007-outbox.md"):
        found = added(texts.find_missing_files, path, "see `app/core/gone.py` and `app/core/`")
        assert found == [f"{path} names app/core/gone.py"]


@pytest.mark.parametrize("name", ["GoneClass", "gone_function", "swallowtail_gone_total"])
def test_an_unknown_name_in_a_document_is_found(name: str) -> None:
    found = added(texts.find_unknown_names, "docs/limits.md", f"`Limits.{name}` and `SWALLOWTAIL_LOGIN_LIMIT`")
    assert found == [f"docs/limits.md names {name}"]


def test_a_package_that_the_walkthrough_lacks_is_found() -> None:
    assert added(texts.find_unmapped_packages, "app/core/extras/file.py", '"""New."""') == ["app/core/extras"]


def test_an_undocumented_or_unknown_setting_is_found() -> None:
    assert texts.find_undocumented_settings(read_tree(), [*_SETTINGS, "new_one"]) == ["SWALLOWTAIL_NEW_ONE"]
    changed = read_tree().appended("docs/limits.md", "`SWALLOWTAIL_GONE=1`")
    assert texts.find_undocumented_settings(changed, _SETTINGS) == ["SWALLOWTAIL_GONE"]
