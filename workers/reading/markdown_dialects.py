"""Removes what dialects of Markdown add to the standard, before and after parsing.

The dialects are those of GitHub, GitLab, Jekyll, Hugo, MkDocs, Docusaurus, Pandoc, Obsidian and wikis.
"""

from __future__ import annotations

import re

from swallowtail.workers.reading.blocks import Block, clean

#: Metadata before the text: YAML or TOML.
FRONT_MATTER = re.compile(r"\A(---|\+\+\+)[ \t]*\n(.{0,20000}?)\n(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*(.{1,300})$", re.MULTILINE)
#: Inline markup, and what remains of it.
_INLINE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"!\[\[[^\[\]]{0,200}\]\]"), ""),
    (re.compile(r"!\[[^\[\]]{0,200}\](?:\([^()\s]{0,500}\)|\[[^\[\]]{0,100}\])"), ""),
    (re.compile(r"\[([^\[\]]{0,200})\]\([^()\s]{0,500}\)"), r"\1"),
    (re.compile(r"^\[[ xX]\]\s|^\[!\w{1,20}\][+-]?\s?|\[\^[^\[\]\s]{1,60}\]|\[\[?_?TOC_?\]\]?", re.IGNORECASE), ""),
    (re.compile(r"(?<!\w):[a-z][a-z0-9_+-]{1,40}:(?!\w)"), ""),
    (re.compile(r"\{\{.{0,300}?\}\}|\{%.{0,300}?%\}|\{[:#.][^{}]{0,100}\}"), ""),
    (re.compile(r"\[\[(?:[^\[\]|]{1,200}\|)?([^\[\]|]{1,200})\]\]"), r"\1"),
    (re.compile(r"\[([^\[\]]{0,200})\]\[[^\[\]]{0,100}\]"), r"\1"),
    (re.compile(r"==([^=]{1,200})=="), r"\1"),
    (re.compile(r"%%[^%]{1,500}%%|\$\$[^$]{1,2000}\$\$"), ""),
)
_DROPPED = re.compile(r"^(?:\[\^[^\[\]\s]{1,60}\]:|:::|\[[^\[\]]{1,100}\]:\s|(?:import|export)\s.{0,200}['\"{])")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
#: First lines of boxes, collapsible parts and tabs; their content is indented by four spaces.
#: Three `=` alone underline a heading.
_BOX = re.compile(
    r"^(?:(?:!!!|\?\?\?\+?)[+ ]?[ \t]*(?:[\w-]+\b[ \t]*)?(?:\"[^\"\n]{0,200}\"[ \t]*)?"
    r"|===[+!]?[ \t]{1,20}\"[^\"\n]{0,200}\"[ \t]*)$"
)
_NOTE = re.compile(r"^\[\^[^\[\]\s]{1,60}\]:")
_ABBREVIATION = re.compile(r"^\*\[[^\[\]\n]{1,60}\]:")
_DEFINED = re.compile(r"^ {0,3}\[[^\[\]\n]{1,100}\]:[ \t]*\S")
_MEANING = re.compile(r"^:[ \t]{1,3}(?=\S)")
_FORMULA = re.compile(r"^\$\$[^$]{1,2000}\$\$[ \t]*$", re.MULTILINE)


def split_front(source: str) -> tuple[str, str]:
    """Return the title in the front matter, and the rest of the text."""
    front = FRONT_MATTER.match(source)
    if front is None:
        return "", source
    named = _FRONT_TITLE.search(front[2])
    return clean(named[1]).strip("'\" ") if named else "", source[front.end() :]


def make_plain(source: str) -> str:
    """Return Markdown without non-standard parts: footnotes, abbreviations, boxes, formulas and HTML comments."""
    lines_left: list[str] = []
    fence, depth, in_note = "", 0, False
    for line in _FORMULA.sub("", _without_comments(source)).split("\n"):
        line, depth = _dedent(line, depth)
        mark = _FENCE.match(line)
        if fence or mark:
            if mark and not fence:
                fence = mark[1]
            elif mark and line.strip().startswith(fence):
                fence = ""
            lines_left.append(line)
            continue
        in_note = _NOTE.match(line) is not None or (in_note and (not line.strip() or line[:1] in " \t"))
        if in_note or _ABBREVIATION.match(line):
            lines_left.append("")
        elif _BOX.match(line):
            depth += 1
            lines_left.append("")
        else:
            lines_left += _separate_block(line, lines_left[-1] if lines_left else "")
    return "\n".join(lines_left)


def _dedent(line: str, depth: int) -> tuple[str, int]:
    """Return the line without the indentation of the open boxes that it belongs to, and their number."""
    if not line.strip():
        return line, depth
    spaces = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip(" "))
    depth = min(depth, spaces // 4)
    return line.expandtabs(4)[4 * depth :] if depth else line, depth


def _separate_block(line: str, before: str) -> list[str]:
    """Return the line, preceded by an empty line where the standard would append it to a paragraph."""
    meaning = _MEANING.match(line)
    if meaning:
        return ["", line[meaning.end() :]]
    return ["", line] if _DEFINED.match(line) and before.strip() and not _DEFINED.match(before) else [line]


def _without_comments(source: str) -> str:
    """Return `source` without HTML comments (a pattern takes quadratic time on many unclosed ones)."""
    first, *rest = source.split("<!--")
    return first + "".join(part.partition("-->")[2] if "-->" in part else f"&lt;!--{part}" for part in rest)


def without_dialect(block: Block) -> list[Block]:
    """Return the block without remains of a dialect, or None if nothing else is in it."""
    if _DROPPED.match(block.text):
        return []
    text = block.text
    for pattern, replacement in _INLINE:
        text = pattern.sub(replacement, text)
    text = clean(text)
    return [Block(block.kind, text, block.level)] if text else []
