"""A missing library is answered with the extra that installs it."""

from __future__ import annotations

import re
from configparser import ConfigParser
from importlib.metadata import packages_distributions

import pytest

from swallowtail.extras import EXTRAS, MODULES, MissingExtra, find_missing_extra, requires_extra
from tests.harness.program import ROOT

pytestmark = pytest.mark.unit


def test_the_message_names_the_subject_and_the_command() -> None:
    with pytest.raises(MissingExtra) as caught, requires_extra("swallowtail web"):
        raise ModuleNotFoundError("No module named 'flask.app'", name="flask.app")
    assert str(caught.value) == "swallowtail web needs the server's packages: pip install 'swallowtail[server]'"


def test_the_cause_of_another_error_is_looked_at_too() -> None:
    fault = RuntimeError("cannot be loaded")
    fault.__cause__ = ModuleNotFoundError("No module named 'yake'", name="yake")
    assert find_missing_extra(fault) == "campaign"


def test_another_missing_module_is_reported_unchanged() -> None:
    with pytest.raises(ModuleNotFoundError, match="agnets"), requires_extra("swallowtail web"):
        raise ModuleNotFoundError("No module named 'agnets'", name="agnets")
    assert find_missing_extra(ValueError("no")) is None


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_module_of_an_extra_comes_from_a_package_of_the_extra(extra: str) -> None:
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    listed = setup["options.extras_require"][extra]
    packages = {plain(name) for name in re.findall(r"^[\w.-]+", listed, re.MULTILINE)}
    installed = packages_distributions()
    # Parts of Celery and Flask, which choose their versions.
    modules = set(MODULES[extra].split()) - {"billiard", "werkzeug"}
    assert {name for name in modules if packages.isdisjoint(map(plain, installed[name]))} == set()


def plain(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()
