"""Files, functions, classes and folders stay within the limits of size; each control adds one that does not."""

from __future__ import annotations

import pytest

from tests.architecture import sizes
from tests.architecture.source_tree import added, read_tree

_PYTHON_FUNCTION = "def long():\n" + "    x = 1\n" * 40
_PYTHON_CLASS = "class Long:\n" + "".join(f"    def m{n}(self):\n" + "        x = 1\n" * 10 for n in range(19))
_MANY_METHODS = "class Many:\n" + "".join(f"    def m{n}(self): ...\n" for n in range(21))
_SCRIPT_BODY = "  call();\n" * 40


def test_files_functions_and_classes_are_within_the_limits() -> None:
    assert sizes.find_oversized(read_tree()) == []


def test_no_folder_is_crowded() -> None:
    assert sizes.find_crowded_folders(read_tree()) == []


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("workers/new", "py"), ("app/web/static/js/new", "js"), ("clients/javascript/new", "mjs"), ("tests/new", "py")],
)
def test_a_crowded_folder_is_found(folder: str, kind: str) -> None:
    tree = read_tree()
    for number in range(sizes.FOLDER_FILES):
        tree = tree.appended(f"{folder}/file_{number}.{kind}", "")
    assert sizes.find_crowded_folders(tree) == []
    for name in ("last", "__init__") if kind == "py" else ("last",):
        crowded = tree.appended(f"{folder}/{name}.{kind}", "")
        assert sizes.find_crowded_folders(crowded) == [f"{folder}: 17 {kind} files"]


@pytest.mark.parametrize("top", ["app/core", "workers", "scripts", "swallowtail", "clients/python", "bench", "tests"])
@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("x = 1\n" * 301, "303 lines"),
        (_PYTHON_FUNCTION, "long has 41 lines"),
        (f"class A:\n    async {_PYTHON_FUNCTION.replace(chr(10), chr(10) + '    ')}pass", "long has 41 lines"),
        (_PYTHON_CLASS, "class Long has 210 lines"),
        (_MANY_METHODS, "class Many has 21 methods"),
    ],
)
def test_python_above_a_limit_is_found(top: str, code: str, what: str) -> None:
    found = added(sizes.find_oversized, f"{top}/new.py", code)
    assert [(wrong.split(":")[0], wrong.endswith(what)) for wrong in found] == [(f"{top}/new.py", True)]


@pytest.mark.parametrize("path", ["app/web/static/js/new.js", "clients/javascript/new.js", "bench/peers/new.mjs"])
@pytest.mark.parametrize(
    "code",
    [
        "call();\n" * 301,
        f"export async function long(a, b) {{\n{_SCRIPT_BODY}}}",
        f"const long = (a) => {{\n{_SCRIPT_BODY}}};",
        f"export const long = async (a = b()) => {{\n{_SCRIPT_BODY}}};",
        f"(() => {{\n{_SCRIPT_BODY}}})();",
        f"(async function () {{\n{_SCRIPT_BODY}}})();",
        f"if (a) b.on('c', async (d) => {{\n{_SCRIPT_BODY}}});",
        f"const a = b(\n  (c) => {{\n{_SCRIPT_BODY}  }},\n);",
        f"a({{\n  b,\n}}, (c) => {{\n{_SCRIPT_BODY}}});",
        f"function long(\n  a,\n) {{\n{_SCRIPT_BODY}}}",
        f"class A {{\n  async #long(a) {{\n{_SCRIPT_BODY}  }}\n}}",
        "export class Long {\n" + "  field = 1;\n" * 200 + "}",
        "class Many {\n" + "  method(a) {\n  }\n" * 21 + "}",
    ],
)
def test_javascript_above_a_limit_is_found(path: str, code: str) -> None:
    assert len(added(sizes.find_oversized, path, code)) == 1


def test_a_long_style_sheet_is_found() -> None:
    code = "a { color: red; }\n" * 301
    assert len(added(sizes.find_oversized, "app/web/static/css/new.css", code)) == 1
