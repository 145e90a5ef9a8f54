"""The Researcher: reads the source and finds what can be said about it. On the road of an event: its steps are
`read_source` and `extract_facts`.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from workers.agents.campaign.brief import MAX_BRIEF, CampaignInput
from workers.agents.campaign.document import Block, read_document
from workers.agents.campaign.facts import find_facts
from workers.agents.campaign.phrases import find_phrases, make_hashtags
from workers.journal import PermanentError
from workers.llm.fetch import fetch_document


def read_source(given: CampaignInput) -> dict[str, Any]:
    """The source as blocks of clean text: `{title, origin, words, characters, cut, left_out, blocks}`.

    Raises PermanentError when there is no text in it or its address cannot be read, FetchError when another try may
    succeed.
    """
    if given.brief_url is not None:
        fetched = fetch_document(given.brief_url)
        source, origin = fetched.text, fetched.url
    else:
        source, origin = given.brief or "", "brief"
    document = read_document(source[:MAX_BRIEF])
    text = " ".join(block.text for block in document.blocks)
    if not re.search(r"\w", text):
        field = "brief_url" if given.brief_url else "brief"
        raise PermanentError(f"input.{field}: there are no words in it to work from", code="empty_source")
    return {
        "title": document.title,
        "origin": origin,
        "words": len(text.split()),
        "characters": len(text),
        "cut": len(source) > MAX_BRIEF,
        "left_out": list(document.left_out),
        "blocks": [asdict(block) for block in document.blocks],
    }


def extract_facts(source: dict[str, Any]) -> dict[str, Any]:
    """What the source says: `{facts: [{text, position, score, grade}], phrases, hashtags}`, each the best first."""
    blocks = [Block(**block) for block in source["blocks"]]
    phrases = find_phrases(blocks)
    facts = find_facts(blocks, phrases)
    return {"facts": [asdict(fact) for fact in facts], "phrases": phrases, "hashtags": make_hashtags(phrases)}
