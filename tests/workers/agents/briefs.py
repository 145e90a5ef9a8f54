"""Briefs for the campaign tests: the sample document of the repository, and the input with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from swallowtail.workers.agents.campaign.brief import CampaignInput

SAMPLE = (Path(__file__).parents[3] / "examples" / "brief.md").read_text(encoding="utf-8")
EVERYWHERE = ["x", "linkedin", "instagram", "facebook", "threads", "mastodon", "bluesky"]


def campaign(brief: str = SAMPLE, **fields: Any) -> CampaignInput:
    return CampaignInput(brief=brief, **fields)
