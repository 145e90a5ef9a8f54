"""The Manager: plans the campaign before the others begin (step `plan`)."""

from __future__ import annotations

from typing import Any

from swallowtail.workers.agents.campaign.brief import BrandRules, CampaignInput
from swallowtail.workers.agents.campaign.platforms import PLATFORMS
from swallowtail.workers.llm.engine import open_provider


def plan(task_input: CampaignInput) -> dict[str, Any]:
    """Return the plan for the team. Raises PermanentError if the configured text engine cannot be used."""
    provider = open_provider()
    return {
        "source": task_input.brief_url
        or ("the file in the input" if task_input.brief_file else "the brief in the input"),
        "posts": [
            {
                "platform": name,
                "label": PLATFORMS[name].label,
                "limit": PLATFORMS[name].limit,
                "max_hashtags": PLATFORMS[name].max_hashtags,
            }
            for name in task_input.platforms
        ],
        "tone": task_input.tone,
        "audience": task_input.audience,
        "rules": brand_rules(task_input.brand),
        "max_rounds": task_input.max_rounds,
        "provider": provider.name,
        "model": provider.model,
    }


def brand_rules(brand: BrandRules) -> list[str]:
    """Return the brand's rules as sentences, for people and for language models."""
    rules = []
    if brand.banned_words:
        rules.append("Never use: " + ", ".join(brand.banned_words) + ".")
    if brand.required_phrases:
        rules.append("Always include: " + ", ".join(f"“{phrase}”" for phrase in brand.required_phrases) + ".")
    if brand.max_reading_grade is not None:
        rules.append(f"Readable at school grade {brand.max_reading_grade:g} or below.")
    rules.append(f"At most {brand.max_exclamation_marks} exclamation marks.")
    if not brand.allow_emoji:
        rules.append("No emoji.")
    return rules
