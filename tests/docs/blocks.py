"""Finds the blocks of code in the documents, and what their comments say about running them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.harness.program import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
DOCUMENTS += [path for folder in ("docs", "clients", "scripts") for path in sorted((ROOT / folder).rglob("*.md"))]
#: Languages of blocks that are run. Diagrams have none, and the others are read by other programs.
PROGRAMS = ("python", "js", "jsx")
RUN = (*PROGRAMS, "console")
OTHERS = ("", "ini", "sql", "json", "html", "yaml", "toml", "dockerfile", "nginx", "text")
_FENCE = re.compile(
    r"^(?: *<!-- not run: (?P<reason>[^>]+) -->\n+)? *```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.M | re.S
)


@dataclass(frozen=True)
class Command:
    """One command of a console block, without its prompt and remark, and the output that the block shows."""

    text: str
    output: str


@dataclass(frozen=True)
class Block:
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

    @property
    def commands(self) -> list[Command]:
        """The commands of a console block."""
        code = re.sub(r"\\\n\s*", "", self.code)
        parts = [part.partition("\n") for part in re.split(r"^\$ ", code, flags=re.M)[1:]]
        return [Command(re.sub(r"\s+# .*$", "", line), output) for line, _, output in parts]


def read_blocks(language: str | None = None) -> list[Block]:
    """Return every block of every document, in their order; only those of one language if it is given."""
    blocks = [
        Block(
            document=document,
            line=text.count("\n", 0, match.start("code")),
            language=match["language"],
            code=textwrap.dedent(match["code"]),
            reason=match["reason"],
        )
        for document in DOCUMENTS
        for text in [document.read_text(encoding="utf-8")]
        for match in _FENCE.finditer(text)
    ]
    return [block for block in blocks if language in (None, block.language)]


def read_commands(document: Path) -> list[str]:
    """Return the commands of all console blocks of a document."""
    return [
        command.text for block in read_blocks("console") if block.document == document for command in block.commands
    ]
