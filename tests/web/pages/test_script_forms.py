"""No browser can send a form that a script handles: its fields would stand in the address and in the log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.program import ROOT

TEMPLATES = sorted((ROOT / "app/web/templates").glob("*.html"))
FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
SUBMIT = re.compile(r"""<button\b(?![^>]*type="(?:button|reset)")[^>]*>|<input\b[^>]*type="(?:submit|image)"[^>]*>""")


def sendable_early(template: str) -> list[str]:
    """Return the buttons of forms without a method that a browser would act on before any script runs."""
    forms = [body for attributes, body in FORM.findall(template) if not re.search(r"method=|\shidden\b", attributes)]
    return [button for body in forms for button in SUBMIT.findall(body) if not re.search(r"\sdisabled\b", button)]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_buttons_of_script_forms_are_rendered_disabled(path: Path) -> None:
    assert sendable_early(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ('<form id="a"><button type="submit">Go</button></form>', ['<button type="submit">']),
        ("<form><button>Go</button></form>", ["<button>"]),
        ('<form><input type="submit" value="Go"></form>', ['<input type="submit" value="Go">']),
        ('<form><button type="submit" disabled>Go</button><button type="button">No</button></form>', []),
        ('<form method="post"><button>Go</button></form>', []),
        ('<form id="retry" hidden><button>Go</button></form>', []),
    ],
)
def test_each_way_to_send_a_form_is_found(template: str, expected: list[str]) -> None:
    assert sendable_early(template) == expected
