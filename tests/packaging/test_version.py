"""The version is in one file, and the changelog agrees with it."""

from __future__ import annotations

import re

import pytest

import swallowtail
from swallowtail.version import VERSION
from tests.harness.program import ROOT

pytestmark = pytest.mark.unit


def test_the_package_has_the_version() -> None:
    assert swallowtail.__version__ == VERSION


def test_the_newest_section_of_the_changelog_is_that_of_the_version() -> None:
    (newest, *_) = re.findall("^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.fullmatch(re.escape(VERSION) + r", (not released yet|\d{4}-\d{2}-\d{2})", newest)
