"""The ContentCreator: writes one post for one platform and streams its text (step `generate_content`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from swallowtail.context import Context
from swallowtail.workers.agents.campaign.brief import CampaignInput
from swallowtail.workers.agents.campaign.manager import brand_rules
from swallowtail.workers.agents.campaign.platforms import PLATFORMS
from swallowtail.workers.llm.engine import open_provider
from swallowtail.workers.llm.pace import Pace
from swallowtail.workers.llm.provider import DraftRequest, Fact, Finding, Platform, PlatformName
from swallowtail.workers.llm.wording import hashtags
from swallowtail.workers.reading.blocks import clean


def generate_content(
    ctx: Context,
    pace: Pace,
    task_input: CampaignInput,
    name: PlatformName,
    source: dict[str, Any],
    research: dict[str, Any],
    returned: dict[str, Any] | None,
) -> dict[str, Any]:
    """Write a post, or its next version: `{platform, label, text, length, limit, hashtags, provider, model}`.

    `returned` is None in the first round, then the Editor's `{text, findings}`. Raises PermanentError, ProviderError.
    """
    platform = PLATFORMS[name]
    provider = open_provider(pace=pace)
    text = _stream(ctx, provider.draft(_request(task_input, platform, source, research, returned)))
    return {
        "platform": name,
        "label": platform.label,
        "text": text,
        "length": platform.measure(text),
        "limit": platform.limit,
        "hashtags": hashtags(text),
        "provider": provider.name,
        "model": provider.model,
    }


def _stream(ctx: Context, pieces: Iterator[str]) -> str:
    """Stream the text to clients; return the whole text without control characters, which no platform accepts."""
    arrived = []
    for piece in pieces:
        ctx.text(piece)
        arrived.append(piece)
    return "\n".join(clean(line) for line in "".join(arrived).strip().splitlines()).strip()


def _request(
    task_input: CampaignInput,
    platform: Platform,
    source: dict[str, Any],
    research: dict[str, Any],
    returned: dict[str, Any] | None,
) -> DraftRequest:
    returned = returned or {"text": "", "findings": []}
    return DraftRequest(
        platform=platform,
        title=source["title"],
        facts=tuple(Fact(**fact) for fact in research["facts"]),
        hashtags=tuple(research["hashtags"][: platform.max_hashtags]),
        tone=task_input.tone,
        audience=clean(task_input.audience),
        language=source["language"],
        link=task_input.link or "",
        rules=tuple(brand_rules(task_input.brand)),
        findings=tuple(Finding(**finding) for finding in returned["findings"]),
        previous=returned["text"],
    )
