"""A social campaign on a real document, and every event that it records."""

from __future__ import annotations

from typing import Any

from tests.harness.program import ROOT

DOCUMENT = ROOT / "examples" / "brief.md"
#: What to submit: the example brief, for one platform.
CAMPAIGN: dict[str, Any] = {"brief": DOCUMENT.read_text(encoding="utf-8"), "platforms": ["x"]}
#: Its steps in order, by key, agent and action.
STEPS = [
    ("plan", "Manager", "plan"),
    ("read_source", "Researcher", "read_source"),
    ("extract_facts", "Researcher", "extract_facts"),
    ("draft:x:1", "ContentCreator", "generate_content"),
    ("review:1", "Editor", "review"),
    ("package", "Publisher", "package"),
]
#: Its story: the whole log of an instance in which nothing else happens.
CAMPAIGN_STORY = [
    "SUBMITTED",
    "QUEUED",
    "1: IN_PROGRESS",
    "1: plan in_progress",
    "1: plan completed",
    "1: 5%",
    "1: read_source in_progress",
    "1: read_source completed",
    "1: 10%",
    "1: extract_facts in_progress",
    "1: extract_facts completed",
    "1: 20%",
    "1: draft:x:1 in_progress",
    "1: draft:x:1 completed",
    "1: 38.8%",
    "1: review:1 in_progress",
    "1: review:1 completed",
    "1: 57.5%",
    "1: package in_progress",
    "1: package completed",
    "1: 100%",
    "1: COMPLETED",
]
