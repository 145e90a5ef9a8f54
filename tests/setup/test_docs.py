"""The files, links and settings that the documentation names exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swallowtail.app.core.config.settings import Settings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("scripts/*.md"), *ROOT.glob("clients/*.md")]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
SECTION = re.compile(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)")
FILE = re.compile(r"`((?:app|workers|scripts|docs|tests|clients|bench|examples)/[\w./-]+)`")
SETTING = re.compile(r"SWALLOWTAIL_([A-Z_]*[A-Z])")


def name(document: Path) -> str:
    """Return the name of a page in the report of a failure."""
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_to_a_section_leads_to_one(document: Path) -> None:
    links = SECTION.findall(document.read_text(encoding="utf-8"))
    assert [
        link for link in links if link[1] not in _sections(document.parent / link[0] if link[0] else document)
    ] == []


def _sections(document: Path) -> set[str]:
    text = document.read_text(encoding="utf-8")
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE))
    return {heading.replace(" ", "-") for heading in headings} | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_file_that_is_named_exists(document: Path) -> None:
    files = FILE.findall(document.read_text(encoding="utf-8"))
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_setting_that_is_named_exists(document: Path) -> None:
    settings = set(SETTING.findall(document.read_text(encoding="utf-8")))
    assert {setting for setting in settings if setting.lower() not in Settings.model_fields} == set()


def test_every_document_is_in_the_navigation_of_the_site() -> None:
    """Elsewhere, `mkdocs build` warns, and ends with an error."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    pages = set(re.findall(r"^ +- (\S+\.md)$", navigation, re.MULTILINE))
    documents = {document.relative_to(ROOT / "docs").as_posix() for document in ROOT.glob("docs/**/*.md")}
    assert documents - pages == set()
