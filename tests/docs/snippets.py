"""Finds the blocks of code in the documents, and what their comments say about running them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.harness.program import ROOT

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "clients").rglob("README.md"))]
#: Languages of blocks that are run. Diagrams have none, and the others are read by other programs.
PROGRAMS = ("python", "js", "jsx")
RUN = (*PROGRAMS, "console")
OTHERS = ("", "ini", "sql", "json", "html", "yaml", "toml", "dockerfile", "nginx", "text")
_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+) -->\n+)?^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.M | re.S
)


@dataclass(frozen=True)
class Snippet:
    """One block of code; `reason` says why it is not run."""

    document: Path
    line: int
    language: str
    code: str
    reason: str | None

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether a test runs it."""
        return self.language in RUN and self.reason is None


def read_snippets() -> list[Snippet]:
    """Return every block of every document, in their order."""
    return [
        Snippet(document, text.count("\n", 0, match.start("code")), match["language"], match["code"], match["reason"])
        for document in DOCUMENTS
        for text in [document.read_text(encoding="utf-8")]
        for match in _FENCE.finditer(text)
    ]
