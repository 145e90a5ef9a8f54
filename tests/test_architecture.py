"""The rules of the deployment that a program can check: who imports whom, what files hold, what the text must not say."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from swallowtail.app.core.config.settings import Settings
from tests.harness.program import ROOT

#: Packages of ours, the inner before the outer.
OURS = ("swallowtail", "tests")

#: What a part may import of ours. The longest prefix of a module's name decides.
MAY_IMPORT = {
    "swallowtail": ("swallowtail.app.core", "swallowtail.workers"),
    "swallowtail.app.core": ("swallowtail.app.core",),
    "swallowtail.app.delivery": ("swallowtail.app.core", "swallowtail.app.delivery"),
    "swallowtail.app.web": ("swallowtail.app.core", "swallowtail.app.delivery", "swallowtail.app.web"),
    "swallowtail.app.wsgi": ("swallowtail.app.core", "swallowtail.app.delivery", "swallowtail.app.web"),
    "swallowtail.app.migrations": ("swallowtail.app.core",),
    "swallowtail.workers": ("swallowtail.app.core", "swallowtail.workers"),
    "swallowtail.workers.agents": (
        "swallowtail.workers.agents",
        "swallowtail.workers.llm",
        "swallowtail.workers.reading",
        "swallowtail.workers.run.context",
        "swallowtail.workers.registry.catalogue",
    ),
    "swallowtail.workers.llm": (
        "swallowtail.workers.llm",
        "swallowtail.workers.run.context",
        "swallowtail.workers.reading.alphabets",
        "swallowtail.app.core.config.settings",
        "swallowtail.app.core.errors",
    ),
    "swallowtail.workers.reading": ("swallowtail.workers.reading",),
    "swallowtail.workers.reading.subprocess_reader": (
        "swallowtail.workers.reading",
        "swallowtail.workers.run.context",
        "swallowtail.app.core.config.settings",
    ),
    "swallowtail.scripts": ("swallowtail.app.core", "swallowtail.scripts"),
}

#: What the domain must never know, and where the concurrency libraries are known.
NOT_IN_CORE = {
    "flask",
    "flask_socketio",
    "apiflask",
    "socketio",
    "engineio",
    "eventlet",
    "gevent",
}
CONCURRENCY = {"eventlet", "gevent"}
CONCURRENCY_FILE = Path("app/wsgi.py")

VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "shared", "stuff"}

#: Lines; the style asks for 300 and 25.
LONGEST_FILE, LONGEST_FUNCTION = 400, 60

#: Taken apart here so that this file does not hold what it looks for.
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted",
    "npm" + "js.org",
    "npm" + "js.com",
    "deb." + "debian.org",
    "yarn" + "pkg",
]
CDNS = ["unpkg" + ".com", "jsdelivr" + ".net", "cdnjs" + ".cloudflare", "cdn." + "socket.io", "esm" + ".sh"]
MACHINE_PATHS = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Use" + "rs/"]


@cache
def tracked() -> list[Path]:
    """Every file of the repository that is tracked or about to be, relative to its top."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(path for name in listed.stdout.split("\0") if name and (ROOT / (path := Path(name))).is_file())


def python_files(*tops: str) -> list[Path]:
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and path.parts[0] in (tops or ("app", "workers", "scripts", "swallowtail"))
    ]


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def module_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    named = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(named if parts[0] in ("swallowtail", "tests", "bench", "clients") else ("swallowtail", *named))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Every import of the file, inside functions and type-checking blocks too: its line and the module's full name."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from app import core` names swallowtail.app.core as much as `import swallowtail.app.core` does.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level


def imports_for_types_only(path: Path) -> set[str]:
    """What the file imports for its annotations alone: an object may name the type of what holds it."""
    blocks = [n for n in ast.walk(parse(path)) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    inside = [node for block in blocks for node in ast.walk(block) if isinstance(node, ast.ImportFrom)]
    return {f"{node.module}.{alias.name}" for node in inside for alias in node.names}


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def rule_for(module: str) -> tuple[str, ...] | None:
    parts = [part for part in MAY_IMPORT if within(module, part)]
    return MAY_IMPORT[max(parts, key=len)] if parts else None


def test_imports_point_inward() -> None:
    wrong = []
    for path in python_files():
        allowed = rule_for(module_of(path))
        for line, imported in imports_of(path):
            ours = any(within(imported, package) for package in OURS) or imported.split(".")[0] in (
                "app",
                "workers",
                "scripts",
            )
            if allowed is not None and ours and not any(within(imported, package) for package in allowed):
                wrong.append(f"{path}:{line} imports {imported}")
    assert wrong == []


def test_every_part_of_ours_has_an_import_rule() -> None:
    assert [
        path for path in python_files() if rule_for(module_of(path)) is None and path != Path("app/__init__.py")
    ] == []


def test_the_domain_knows_no_web_and_no_worker() -> None:
    wrong = [
        f"{path}:{line} imports {imported}"
        for path in python_files("app")
        if within(module_of(path), "swallowtail.app.core")
        for line, imported in imports_of(path)
        if imported.split(".")[0] in NOT_IN_CORE
    ]
    assert wrong == []


def test_imports_are_absolute() -> None:
    wrong = [
        f"{path}:{line}"
        for path in python_files("app", "workers", "scripts", "tests")
        for line, imported in imports_of(path)
        if imported.startswith(".")
    ]
    assert wrong == []


def test_modules_import_each_other_in_no_circle() -> None:
    known = {module_of(path): path for path in python_files()}
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        named = {imported for _, imported in imports_of(path)} - imports_for_types_only(path)
        found = {name if name in known else name.rpartition(".")[0] for name in named}
        graph[module] = (found & set(known)) - {module}
    assert find_circle(graph) is None


def find_circle(graph: dict[str, set[str]]) -> list[str] | None:
    """A circle of imports, if there is one, as the list of its modules."""
    done: set[str] = set()

    def visit(module: str, road: list[str]) -> list[str] | None:
        if module in road:
            return [*road[road.index(module) :], module]
        if module in done:
            return None
        for imported in sorted(graph[module]):
            if circle := visit(imported, [*road, module]):
                return circle
        done.add(module)
        return None

    return next((circle for module in sorted(graph) if (circle := visit(module, []))), None)


def test_eventlet_and_gevent_are_imported_in_one_file() -> None:
    wrong = [
        f"{path}:{line} imports {imported}"
        for path in python_files("app", "workers", "scripts", "tests")
        for line, imported in imports_of(path)
        if imported.split(".")[0] in CONCURRENCY and path != CONCURRENCY_FILE
    ]
    assert wrong == []


def test_a_package_file_holds_its_docstring_and_nothing_else() -> None:
    for path in python_files("app", "workers", "scripts", "tests"):
        if path.name == "__init__.py" and path.parts[0] != "swallowtail":
            body = parse(path).body
            assert [type(node) for node in body] == [ast.Expr], path
            assert ast.get_docstring(parse(path)), path


def test_every_module_says_what_it_is() -> None:
    silent = [path for path in python_files("app", "workers", "scripts", "tests") if not ast.get_docstring(parse(path))]
    assert silent == []


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = [path for path in tracked() if path.stem.lower() in VAGUE_NAMES]
    # One agent of the campaign team is called Manager: that is its role, not a shelf for leftovers.
    assert vague == [Path("workers/agents/campaign/manager.py")]


def test_files_are_of_a_size_that_a_reader_can_hold() -> None:
    sizes = {
        path: len((ROOT / path).read_text().splitlines()) for path in python_files("app", "workers", "scripts", "tests")
    }
    assert {str(path): lines for path, lines in sizes.items() if lines > LONGEST_FILE} == {}


def test_functions_are_of_a_size_that_a_reader_can_hold() -> None:
    wrong = {}
    for path in python_files("app", "workers", "scripts", "tests"):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_long(path, node):
                wrong[f"{path}:{node.lineno} {node.name}"] = length(node)
    assert wrong == {}


def is_long(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    # A migration is one list of tables.
    return length(node) > LONGEST_FUNCTION and path.parts[:2] != ("app", "migrations")


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The function's lines from `def` to its end, without its docstring."""
    first = node.body[0]
    documented = ast.get_docstring(node) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("a package registry", REGISTRIES),
        ("somebody else's server for scripts", CDNS),
        ("a path of one machine", MACHINE_PATHS),
    ],
)
def test_no_file_names(what: str, words: list[str]) -> None:
    pattern = re.compile("|".join(re.escape(word) for word in words))
    wrong = []
    for path in tracked():
        text = (ROOT / path).read_bytes().decode(errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            if found := pattern.search(line):
                wrong.append(f"{path}:{number} names {what}: {found[0]}")
    assert wrong == []


def test_the_walkthrough_names_files_that_exist() -> None:
    text = (ROOT / "docs/walkthrough.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:app|workers|scripts|tests|docs|clients|bench)/[\w./-]+)`", text))
    assert named, "the walkthrough names no file at all"
    assert sorted(name for name in named if not (ROOT / name.rstrip("/")).exists()) == []


def test_every_setting_is_documented() -> None:
    path = ROOT / "docs/settings.md"
    if not path.exists():
        pytest.skip("docs/settings.md is not there yet")
    text = path.read_text(encoding="utf-8")
    names = [f"SWALLOWTAIL_{name.upper()}" for name in Settings.model_fields]
    assert [name for name in names if f"`{name}`" not in text] == []


def test_every_setting_stands_in_the_example() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#? ?(SWALLOWTAIL_[A-Z_]+)=", text, flags=re.MULTILINE))
    assert sorted(named - {f"SWALLOWTAIL_{name.upper()}" for name in Settings.model_fields}) == []
