"""Shows files of the repository in the site: documents outside of `docs/` as pages, and examples as downloads.

MkDocs calls the functions. A document links to other files of the repository as it does there; this changes the links
to the places in the site. A link to any other file is a warning, and a warning ends a strict build.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
#: Documents outside of `docs/`, and their places in the site.
PAGES = {
    "clients/README.md": "clients/index.md",
    "clients/javascript/README.md": "clients/javascript.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "scripts/README.md": "scripts.md",
}
#: Files that documents link to.
DOWNLOADS = (
    ".env.example",
    "LICENSE",
    "Procfile",
    ".pre-commit-config.yaml",
    "examples",
    "deploy",
    "Dockerfile",
    "compose.yaml",
)
STYLES = "build_site/assets"
_LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)#\s]+)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, the downloads, the style sheet and the icon."""
    for source, place in PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text(encoding="utf-8")))
    for path in _downloads():
        place = "files/" + path.relative_to(ROOT).as_posix().lstrip(".")
        files.append(File.generated(config, place, content=path.read_bytes()))
    for path in (*(ROOT / STYLES).iterdir(), ROOT / "app/web/static/swallowtail.svg"):
        files.append(File.generated(config, f"assets/{path.name}", content=path.read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Change the links of a document to the places in the site."""
    place = page.file.src_uri
    source = next((path for path, at in PAGES.items() if at == place), f"docs/{place}")
    return _LINK.sub(lambda match: match[1] + _link(match[2], source, place), markdown)


def _link(link: str, source: str, place: str) -> str:
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    if target == "README.md":
        there = "index.md"
    elif target in PAGES:
        there = PAGES[target]
    elif target.startswith("docs/"):
        there = target.removeprefix("docs/")
    elif (ROOT / target).is_file() and any(target == name or target.startswith(f"{name}/") for name in DOWNLOADS):
        there = "files/" + target.lstrip(".")
    else:
        return link
    return posixpath.relpath(there, posixpath.dirname(place) or ".")


def _downloads() -> list[Path]:
    paths = [ROOT / name for name in DOWNLOADS]
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*")))]
    return [file for file in files if file.is_file() and "__pycache__" not in file.parts]
