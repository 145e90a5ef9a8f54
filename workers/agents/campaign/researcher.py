"""The Researcher: reads the source and extracts its facts (steps `read_source` and `extract_facts`)."""

from __future__ import annotations

import base64
import re
from dataclasses import asdict
from typing import Any

from swallowtail.workers.agents.campaign.brief import CampaignInput
from swallowtail.workers.agents.campaign.document import make_document
from swallowtail.workers.agents.campaign.facts import find_facts
from swallowtail.workers.agents.campaign.language import find_language
from swallowtail.workers.agents.campaign.names import DocumentNames
from swallowtail.workers.agents.campaign.phrases import find_phrases, make_hashtags
from swallowtail.workers.llm.fetch import fetch_document
from swallowtail.workers.reading.blocks import Block, ReadDocument
from swallowtail.workers.reading.subprocess_reader import read_in_subprocess
from swallowtail.workers.run.outcomes import PermanentError


def read_source(task_input: CampaignInput) -> dict[str, Any]:
    """Return `{title, origin, format, language, words, characters, cut, left_out, blocks}` of the source.

    Raises PermanentError if it contains no text or its URL cannot be read, FetchError if another try may succeed.
    """
    reading, origin = _read(task_input)
    document = make_document(reading)
    text = " ".join(block.text for block in document.blocks)
    if not re.search(r"\w", text):
        field = next(name for name in ("brief_url", "brief_file", "brief") if getattr(task_input, name) is not None)
        raise PermanentError(f"input.{field}: there are no words in it to work from", code="empty_source")
    return {
        "title": document.title,
        "origin": origin,
        "words": len(text.split()),
        "characters": len(text),
        "format": reading.format,
        "language": find_language(text),
        "cut": reading.cut,
        "left_out": list(document.left_out),
        "blocks": [asdict(block) for block in document.blocks],
    }


def _read(task_input: CampaignInput) -> tuple[ReadDocument, str]:
    """Return the document and where it came from."""
    if task_input.brief_url is not None:
        fetched = fetch_document(task_input.brief_url)
        return read_in_subprocess(fetched.body, fetched.content_type, fetched.charset, fetched.url), fetched.url
    if task_input.brief_file is None:
        text = (task_input.brief or "").replace("\0", " ")  # plain text, even if it looks like another format
        return read_in_subprocess(text.encode("utf-8", "replace"), charset="utf-8"), "brief"
    try:
        body = base64.b64decode("".join(task_input.brief_file.split()), validate=True)
    except ValueError:
        raise PermanentError("input.brief_file: this is not base64", code="document_unreadable") from None
    return read_in_subprocess(body), "file"


def extract_facts(source: dict[str, Any]) -> dict[str, Any]:
    """Return the facts: `{facts: [{text, position, score, grade}], phrases, hashtags}`, each the best first."""
    blocks = [Block(**block) for block in source["blocks"]]
    language = source["language"]
    phrases = find_phrases(blocks, language)
    facts = find_facts(blocks, phrases, language)
    named = find_phrases(blocks, language, DocumentNames(blocks, source["title"], language).has)
    return {"facts": [asdict(fact) for fact in facts], "phrases": phrases, "hashtags": make_hashtags(named, language)}
