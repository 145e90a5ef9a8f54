"""Reads AsciiDoc, Org and MediaWiki by converting their markup to Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from swallowtail.workers.reading.blocks import Block
from swallowtail.workers.reading.markdown import read_markdown

Rules = tuple[tuple[re.Pattern[str], str], ...]


def _rules(*pairs: tuple[str, str]) -> Rules:
    return tuple((re.compile(pattern, re.MULTILINE | re.IGNORECASE), replacement) for pattern, replacement in pairs)


#: Lines that are not text, by language.
_ASCIIDOC_LINES = re.compile(
    r"^(?:[\w{][\w -]*::\S*\[|:!?[\w-]+!?:|//|\[[^\]\n]{0,200}\]$|<<<$|'{3}$|\+$|\.[A-Z]|={4,}$|\*{4,}$|_{4,}$|-{2}$"
    r"|(?:ifn?def|endif)::)"
)
_ORG_LINES = re.compile(
    r"^\s*(?:#\+(?!begin_|end_)|# |#$|(?:SCHEDULED|DEADLINE|CLOSED):|\|[-+]+\|?$|-{5,}$)", re.IGNORECASE
)
#: Delimiters of code blocks, tables and the like; the second group ends a block.
_ASCIIDOC_BLOCKS = {r"-{4,}$": "{}", r"\.{4,}$": "{}", r"\+{4,}$": "{}", r"/{4,}$": "{}", "```": "```"}
_ORG_BLOCKS = {r"\s*#\+begin_(?:src|example|export|comment)\b": "#+end_", r"\s*:(?:PROPERTIES|LOGBOOK):": ":end:"}
_ASCIIDOC: Rules = _rules(
    (r"^= (.+)$", r"# \1"),
    (r"^(={2,6}) (.+)$", r"## \2"),
    (r"^(?:NOTE|TIP|IMPORTANT|WARNING|CAUTION): ", ""),
    (r"^(\*{1,5}|\.{1,5}|-) (?=\S)", "- "),
    (
        r"(?:footnote|footnoteref|indexterm|anchor|pass|stem|image|icon|kbd|btn|menu):[^\s\[]{0,300}\[[^\]\n]{0,500}\]",
        "",
    ),
    (r"(?:link|xref|mailto|https?):[^\s\[]{0,500}\[([^\]\n]{0,500})\]", r"\1"),
    (r"<<(?:[^<>,\n]{1,200}, ?)?([^<>\n]{1,200})>>", r"\1"),
    (r"\[\[[^\[\]\n]{1,200}\]\]|\[#[^\[\]\n]{0,200}\](?=\S)|\[\.[\w.-]{1,60}\](?=#)", ""),
    (r"\{[\w-]{1,60}\}", ""),
    (r"(?<!\w)#([^#\n]{1,200})#(?!\w)", r"\1"),
    (r" \+$|\((?:C|R|TM)\)", ""),
)
_ORG: Rules = _rules(
    (
        r"^\*{1,6} (?:TODO |DONE |\[#[A-C]\] )*(\S(?:.{0,500}?\S)?)(?:[ \t]{1,200}:[\w:@]{1,200}:)?[ \t]{0,200}$",
        r"## \1",
    ),
    (r"^[ \t]*[-+] (?:\[[ xX-]\] )?", "- "),
    (r"^[ \t]+(?=\S)", ""),
    (r"#\+(?:begin|end)_\w+.*$", ""),
    (r"\[\[[^\[\]\n]{1,500}\]\[([^\[\]\n]{1,300})\]\]", r"\1"),
    (r"\[\[[^\[\]\n]{1,500}\]\]|\[fn:[^\[\]\n]{1,300}\]|<\d{4}-\d\d-\d\d[^<>\n]{0,40}>", ""),
    (r"(?<!\w)[=~]([^=~\n]{1,200})[=~](?!\w)", r"\1"),
    (r"(?<!\w)/(\w[^/\n]{0,200})/(?!\w)", r"\1"),
)
_WIKI: Rules = _rules(
    (r"^[*#:;]+ ?", "- "),
    (r"<ref[^<>/]{0,200}>[^<]{0,1000}</ref>|<ref[^<>]{0,200}/>", ""),
    (r"\{\{[^{}]{0,2000}\}\}", ""),
    (r"\[\[(?:File|Image|Category|Datei|Bild|Kategorie|Fichier|Catégorie|Archivo|Categoría):[^\[\]\n]{0,500}\]\]", ""),
    (r"^(?!- )= ?([^=\n]+?) ?=[ \t]*$", r"# \1"),
    (r"^={2,6} ?([^=\n]+?) ?={2,6}[ \t]*$", r"## \1"),
    (r"\[\[(?:[^\[\]|\n]{1,200}\|)?([^\[\]|\n]{1,200})\]\]", r"\1"),
    (r"\[https?://\S{1,500} ([^\]\n]{1,300})\]", r"\1"),
    (r"'{2,5}|__[A-Z]+__", ""),
)
_TITLES = re.compile(r"^#\+title:[ \t]*(.{1,300})$", re.MULTILINE | re.IGNORECASE)
_AUTHOR = re.compile(r"(?m)\A(= [^\n]+\n)[^\n=:]{1,200}<[^<>\n]{1,200}>[^\n]*\n")


def read_asciidoc(source: str) -> tuple[str, list[Block], bool]:
    """Return the title, the blocks, and whether the text was nested too deeply to be read completely."""
    lines = _drop_blocks(_AUTHOR.sub(r"\1", source.lstrip()), _ASCIIDOC_BLOCKS, _ASCIIDOC_LINES)
    return read_markdown(_apply(_ASCIIDOC, "\n".join(_open_tables(lines, "|==="))))


def read_org(source: str) -> tuple[str, list[Block], bool]:
    """Return the title, the blocks, and whether the text was nested too deeply to be read completely."""
    named = _TITLES.search(source)
    rows = (
        _row(line) if line.lstrip().startswith("|") else line for line in _drop_blocks(source, _ORG_BLOCKS, _ORG_LINES)
    )
    _, blocks, cut = read_markdown(_apply(_ORG, "\n".join(rows)))
    return named[1].strip() if named else "", blocks, cut


def read_mediawiki(source: str) -> tuple[str, list[Block], bool]:
    """Return the title, the blocks, and whether the text was nested too deeply to be read completely."""
    return read_markdown(_apply(_WIKI, _without_tables(source)))


def _without_tables(source: str) -> str:
    first, *rest = f"\n{source}".split("\n{|")
    return first + "".join(part.partition("\n|}")[2] if "\n|}" in part else f"\n{part}" for part in rest)


def _apply(rules: Rules, text: str) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _drop_blocks(source: str, blocks: Mapping[str, str], dropped: re.Pattern[str]) -> Iterator[str]:
    """Return the lines without such blocks and without lines that are not text."""
    end = ""
    for line in source.split("\n"):
        if end:
            end = "" if line.strip().lower().startswith(end) else end
            continue
        began = next((name for name in blocks if re.match(name, line, re.IGNORECASE)), None)
        if began is not None:
            end = blocks[began].format(line.strip())
            yield ""
        else:
            yield "" if dropped.match(line) else line


def _open_tables(lines: Iterator[str], mark: str) -> Iterator[str]:
    """Return the lines with table rows as list items; a header row before an empty line is left out."""
    inside, rows = False, list[str]()
    for line in lines:
        if line.startswith(mark):
            yield from ["", *(_row(row) for row in rows if row), ""]
            inside, rows = not inside, []
        elif inside:
            if not line.strip() and len(rows) == 1:
                rows = [""]
            rows += [line] if line.strip() else []
        else:
            yield line
    yield from rows


def _row(line: str) -> str:
    cells = [cell.strip() for cell in re.split(r"(?:\d{1,4}[+*])?[aehlms]?\|", line.strip().strip("|")) if cell.strip()]
    return "- " + " – ".join(cells)
