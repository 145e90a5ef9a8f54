"""Detects and reads text that is data and not prose: JSON, CSV, XML, source code, logs.

Text that people wrote in data may be quoted (a field that holds a sentence, a row of a table); field names, code and
log lines may not.
"""

from __future__ import annotations

import csv
import html
import json
import re
from typing import Any, Literal

from swallowtail.workers.reading.blocks import Block, clean

Data = Literal["json", "csv", "xml", "code"]

_XML = re.compile(r"\s*<\?xml\b")
_IS_PAGE = re.compile(r"<html\b", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{1,2000}>")
_CDATA = re.compile(r"<!\[CDATA\[([^\]]{0,20000})\]\]>")
#: Fields that name the subject of the data.
_TITLES = ("title", "name", "headline", "titel", "titre", "titulo", "título")
#: One line of source code, configuration or shell input.
_CODE = re.compile(
    r"[{}]\s*$|[()\[\]=\"'\d_{}]\s*;\s*$"
    r"|^\s*[\])}]+[,;)]*\s*$|^\s*(?:#!|//|/\*|\*/|@\w|\"\"\"|\$ )|^\s*#\s*(?:include|define|if|endif)\b"
    r"|^\s*(?:async )?(?:def|class|func|function|fn|struct|enum|interface|impl)\s+\w[^\n]{0,300}[:{(]\s*$"
    r"|^\s*(?:import\s+[\w.{*\"']+|from\s+[\w.]+\s+import\b|package\s+[\w.]+;?$|using\s+[\w.]+;|use\s+[\w:]+;)"
    r"|^\s*(?:if|elif|for|while|with|try|except|else)\b[^\n]{0,300}:\s*$|^\s*(?:return|raise|yield|break|pass)\b[^.]{0,200}$"
    r"|^\s*(?:const|let|var|export|public|private|protected|static)\s+\w"
    r"|^\s*[\w.\[\]\"'-]{1,60}\s*(?:[+*/|&-]?=|:=|=>|<-)\s*\S"
    r"|^\s*[\w.]+\([^\n]{0,300}\)\s*;?\s*$|^\[[\w. :-]{1,60}\]\s*$"
)
#: One line of a log.
_LOGGED = re.compile(
    r"^\W?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|^\W?\d\d/[A-Z][a-z]{2}/\d{4}[ :]|^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d "
    r"|^(?:\d{1,3}\.){3}\d{1,3} \S+ \S+ \[|^\W?(?:DEBUG|INFO|WARN(?:ING)?|ERROR|FATAL|TRACE)\b\]?[ :]"
    r"|^\d\d:\d\d:\d\d(?:[.,]\d+ | \W?(?:DEBUG|INFO|WARN|ERROR))"
    r"|^Traceback \(|^\s+File \"|^\s+at [\w.$]+\(|^\w+(?:Error|Exception): "
)
#: A text, or a part of it, with at least this share of such lines is code or a log.
MOSTLY = 0.6
_DELIMITERS = ",;\t|"
#: Characters that are searched for code.
SEARCHED_LENGTH = 50_000


def find_data(text: str) -> Data | None:
    """Return the kind of data that the text is; None for prose."""
    start = text.lstrip("\ufeff \t\r\n")
    if start[:1] in ("{", "[") and _read_json(start) is not None:
        return "json"
    if _XML.match(start) and not _IS_PAGE.search(start[:2000]):
        return "xml"
    if is_code(text[:SEARCHED_LENGTH].split("\n")):
        return "code"
    return "csv" if _read_rows(text) else None


def read_data(text: str, kind: Data) -> tuple[str, list[Block]]:
    """Return the title that the data names and the text in it that people wrote; nothing of code."""
    if kind == "json":
        return _from_json(_read_json(text.lstrip("\ufeff \t\r\n")))
    if kind == "xml":
        parts = _TAG.split(_CDATA.sub(lambda match: html.escape(match[1]), text))
        texts = [clean(_TAG.sub(" ", html.unescape(part))) for part in parts]
        return "", [Block("paragraph", text) for text in texts if " " in text]
    if kind == "csv":
        rows = [[cell.strip() for cell in row if cell.strip()] for row in _read_rows(text)[1:]]
        return "", [Block("item", clean(" – ".join(row))) for row in rows if row]
    return "", []


def is_code(lines: list[str]) -> bool:
    """Return whether most of these lines are code or log lines."""
    written = [line for line in lines if line.strip()]
    for pattern in (_CODE, _LOGGED):
        if written and sum(pattern.search(line) is not None for line in written) >= MOSTLY * len(written):
            return True
    return False


def _read_json(text: str) -> Any:
    """Return the value; None for text that is not a JSON object or list, or is nested too deeply."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _from_json(value: Any) -> tuple[str, list[Block]]:
    title, blocks, waiting = "", list[Block](), [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            named = next((value[key] for key in _TITLES if isinstance(value.get(key), str)), "")
            title = title or clean(named)
            waiting += reversed(value.values())
        elif isinstance(value, list):
            waiting += reversed(value)
        elif isinstance(value, str) and " " in (text := clean(value)) and text != title:
            blocks.append(Block("paragraph", text))
    return title, blocks


def _read_rows(text: str) -> list[list[str]]:
    """Return the rows of a CSV table if all have the same number of cells; otherwise nothing."""
    lines = [line for line in text.splitlines() if line.strip()]
    for delimiter in _DELIMITERS if len(lines) > 1 else "":
        if delimiter not in lines[0]:
            continue
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
        except csv.Error:
            continue
        width = len(rows[0])
        is_even = width > 2 or (width == 2 and delimiter in ";\t")
        if is_even and len(rows) > 1 and all(len(row) == width for row in rows) and not _is_prose(rows[0]):
            return rows
    return []


def _is_prose(cells: list[str]) -> bool:
    """Return whether the first row is a sentence with commas and not a row of column names."""
    return any(cell.rstrip().endswith((".", "!", "?")) or len(cell.split()) > 5 for cell in cells)
