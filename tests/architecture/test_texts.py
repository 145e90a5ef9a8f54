"""Files hold what each must have and nothing that none may have; each control adds one violation."""

from __future__ import annotations

import pytest

from swallowtail.app.core.config.settings import Settings
from tests.architecture import texts
from tests.architecture.source_tree import added, read_tree

_SETTINGS = list(Settings.model_fields)


def test_no_file_names_a_registry_a_foreign_script_server_or_a_path_of_one_machine() -> None:
    assert texts.find_forbidden_texts(read_tree()) == []


def test_every_module_has_a_docstring_and_a_package_file_nothing_else() -> None:
    assert texts.find_modules_without_docstring(read_tree()) == []


def test_file_names_say_what_the_files_hold() -> None:
    assert texts.find_vague_names(read_tree()) == []


def test_setup_installs_every_package() -> None:
    assert texts.find_unpacked_packages(read_tree()) == []


def test_the_walkthrough_names_files_that_exist() -> None:
    assert "app/" in read_tree().texts["docs/walkthrough.md"]
    assert texts.find_missing_walkthrough_files(read_tree()) == []


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


def test_a_missing_file_in_the_walkthrough_is_found() -> None:
    found = added(texts.find_missing_walkthrough_files, "docs/walkthrough.md", "see `app/core/gone.py`")
    assert found == ["app/core/gone.py"]


def test_an_undocumented_setting_is_found() -> None:
    assert texts.find_undocumented_settings(read_tree(), [*_SETTINGS, "new_one"]) == ["SWALLOWTAIL_NEW_ONE"]
