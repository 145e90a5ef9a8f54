"""The documents list every setting with its default and description, and the basic ones first."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import SecretStr

from swallowtail.app.core.config import settings
from swallowtail.app.core.config.settings import Settings
from tests.harness.program import ROOT


def test_the_tables_in_the_docs_list_the_basic_settings_first_and_then_every_other_in_its_group() -> None:
    """When this fails, the expected lines are those to put into docs/settings.md."""
    written = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows, expected = [line for line in written.splitlines() if line.startswith(("##", "| `"))], _expected_rows()
    missing, extra = [row for row in expected if row not in rows], [row for row in rows if row not in expected]
    assert rows == expected, "\n".join(["missing:", *missing, "too many:", *extra])


def test_the_readme_and_the_example_show_the_basic_settings_and_no_others() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    basic = _basic_names()
    assert [line for line in readme.splitlines() if line.startswith("| `SWALLOWTAIL_")] == [
        _row(name) for name in basic
    ]
    assert sorted(re.findall(r"^# SWALLOWTAIL_(\w+)=", example, flags=re.MULTILINE)) == sorted(map(str.upper, basic))
    assert 15 <= len(basic) <= 25


def _basic_names() -> list[str]:
    return [name for _, name in _fields() if name and _is_basic(name)]


def _is_basic(name: str) -> bool:
    return Settings.model_fields[name].json_schema_extra == {"basic": True}


def _fields() -> list[tuple[str, str]]:
    """The comment above each group of settings, and the names of the settings, in the order of the docs."""
    parts = (
        "locations", "http", "auth", "agents", "tasks", "operations", "delivery", "database", "limits", "privacy",
    )  # fmt: skip
    source = "\n".join(Path(settings.__file__).with_name(f"{part}.py").read_text(encoding="utf-8") for part in parts)
    return re.findall(r"^    (?:# (.+)|(\w+): .+? = (?:Field|basic)\()", source, flags=re.MULTILINE)


def _expected_rows() -> list[str]:
    rows = ["## Basic settings", *(_row(name) for name in _basic_names()), "## Advanced settings"]
    group = ""
    for heading, name in _fields():
        group = heading or group
        if name and not _is_basic(name):
            rows += ([f"### {group}"] if group else []) + [_row(name)]
            group = ""
    return rows


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if isinstance(default, bool):
        default = str(default).lower()
    if isinstance(default, float):
        default = f"{default:g}"
    shown = "" if default in (None, "") else f"`{default}`"
    return f"| `SWALLOWTAIL_{name.upper()}` | {shown} | {field.description} |"


def test_every_setting_is_described_in_a_sentence_that_fits_a_table() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert "|" not in field.description
        assert not field.description.endswith(".")
