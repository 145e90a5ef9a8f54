"""Finds texts that no file may hold, and files and modules without what each must have."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Iterator
from pathlib import PurePath

from tests.architecture.source_tree import PRODUCT, SourceTree

_TOPS = (*PRODUCT, "tests")
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers", "shared", "stuff"}
#: One agent of the campaign team is called Manager: that is its role.
_NOT_VAGUE = ("workers/agents/campaign/manager.py",)

#: In pieces, so that this file does not contain what it looks for.
REGISTRIES = (
    "pypi" + ".org",
    "python" + "hosted",
    "npm" + "js.org",
    "npm" + "js.com",
    "deb." + "debian.org",
    "yarn" + "pkg",
)
CDNS = ("unpkg" + ".com", "jsdelivr" + ".net", "cdnjs" + ".cloudflare", "cdn." + "socket.io", "esm" + ".sh")
MACHINE_PATHS = ("/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Use" + "rs/")
#: Code in a document, names of classes and functions in it, settings, and words.
_CODE = re.compile(r"`([^`\n]+)`")
_NAME = re.compile(r"\b(?!SWALLOWTAIL_)(?:[A-Z][a-z]+[A-Z]\w*|[A-Za-z]+_\w*\w)\b")
_SETTING = re.compile(r"\bSWALLOWTAIL_[A-Z_]*[A-Z]")
_WORD = re.compile(r"\w+")
_METRIC_PREFIX = "swallowtail_"
#: Files whose names a document may use.
_SOURCES = (".py", ".js", ".mjs", ".html", ".cfg", ".toml", ".conf", ".acl")
#: Names in Celery's messages, in JavaScript, in macOS, and in the Linux kernel.
_FOREIGN_NAMES = {"reply_to", "MAX_SAFE_INTEGER", "F_FULLFSYNC"}
_FOREIGN_NAMES |= {"MSG_NOSIGNAL", "io_uring", "net_rx_action", "tcp_write_xmit"}
#: A document that names tests of other projects.
_OTHER_NAMES = "docs/conformance.md"
_FORBIDDEN = re.compile("|".join(re.escape(word) for word in (*REGISTRIES, *CDNS, *MACHINE_PATHS)))
#: What setup.cfg calls packages because their files are installed; nothing imports them.
_FOLDERS_OF_FILES = {"swallowtail.clients.javascript", "swallowtail.docs", "swallowtail.examples"}


def find_forbidden_texts(tree: SourceTree) -> list[str]:
    """Return names of package registries, of other people's script servers, and paths of one machine."""
    return [
        f"{path}:{number} names {match[0]}"
        for path, text in tree.texts.items()
        if _FORBIDDEN.search(text)
        for number, line in enumerate(text.splitlines(), start=1)
        if (match := _FORBIDDEN.search(line))
    ]


def find_modules_without_docstring(tree: SourceTree) -> list[str]:
    """Return modules without a docstring, and `__init__.py` files with more than a docstring."""
    found = []
    for source in tree.python(*_TOPS):
        if not ast.get_docstring(source.tree):
            found.append(f"{source.path} has no docstring")
        # The public interface is the one package that defines names.
        elif source.path.endswith("/__init__.py") and len(source.tree.body) > 1 and "/" in source.path.split("/", 1)[1]:
            found.append(f"{source.path} holds more than its docstring")
    return found


def find_vague_names(tree: SourceTree) -> list[str]:
    """Return files whose names say nothing about their content."""
    return [path for path in tree.texts if PurePath(path).stem.lower() in VAGUE_NAMES and path not in _NOT_VAGUE]


def find_unpacked_packages(tree: SourceTree) -> list[str]:
    """Return packages that setup.cfg does not install, and installed packages that do not exist."""
    config = configparser.ConfigParser()
    config.read_string(tree.texts["setup.cfg"])
    listed = set(config["options"]["packages"].split())
    sources = tree.python(*PRODUCT, "clients")
    present = {source.module.rpartition(".")[0] for source in sources if not source.path.endswith("/__init__.py")}
    present |= {source.module for source in sources if source.path.endswith("/__init__.py")}
    return sorted((listed - _FOLDERS_OF_FILES) ^ present)


def find_missing_files(tree: SourceTree) -> list[str]:
    """Return files and folders that a document names and that do not exist."""
    folders = {path[: path.rindex("/")] for path in tree.texts if "/" in path}
    return [
        f"{path} names {name}"
        for path, text in _documents(tree)
        for name in re.findall(r"`((?:app|workers|scripts|swallowtail|tests|docs|clients|bench)/[\w./-]+)`", text)
        if name not in tree.texts and not any(f"{folder}/".startswith(f"{name.rstrip('/')}/") for folder in folders)
    ]


def find_unknown_names(tree: SourceTree) -> list[str]:
    """Return classes, functions and metrics that a document names and that no other file contains."""
    # The controls of this rule name what does not exist.
    code = [text for path, text in tree.texts.items() if path.endswith(_SOURCES) and "/architecture/" not in path]
    known = {word for text in [*code, *tree.texts] for word in _WORD.findall(text)}
    found = []
    for path, text in _documents(tree):
        if path.startswith(_OTHER_NAMES):
            continue
        names = {name for code in _CODE.findall(text) for name in _NAME.findall(code)} - _FOREIGN_NAMES
        found += [
            f"{path} names {name}" for name in sorted(names) if not {name, name.removeprefix(_METRIC_PREFIX)} & known
        ]
    return found


def find_unmapped_packages(tree: SourceTree) -> list[str]:
    """Return packages that the map in the walkthrough lacks."""
    folders = {source.path.rpartition("/")[0] for source in tree.python(*PRODUCT, "clients")}
    return sorted(folder for folder in folders if f"`{folder}`" not in tree.texts["docs/walkthrough.md"])


def _documents(tree: SourceTree) -> Iterator[tuple[str, str]]:
    """Yield the documents, without the changelog, which keeps the names of its time."""
    return ((path, text) for path, text in tree.texts.items() if path.endswith(".md") and path != "CHANGELOG.md")


def find_undocumented_settings(tree: SourceTree, names: list[str]) -> list[str]:
    """Return settings that docs/settings.md lacks, and names in documents and the example file that are no settings."""
    known = [f"SWALLOWTAIL_{name.upper()}" for name in names]
    shown = re.findall(r"^#? ?(SWALLOWTAIL_[A-Z_]+)=", tree.texts[".env.example"], flags=re.MULTILINE)
    missing = [name for name in known if f"`{name}`" not in tree.texts["docs/settings.md"]]
    named = {name for _, text in _documents(tree) for name in _SETTING.findall(text)}
    return [*missing, *sorted({*shown, *named} - set(known))]
