"""The JSON Schema on the card refuses bad input for a campaign and names the field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from swallowtail.app.core.errors import InvalidInput
from swallowtail.app.core.ledger.agent_cards import validate_input
from swallowtail.app.core.tables.system import Agent
from swallowtail.workers.agents.campaign.brief import CampaignInput
from swallowtail.workers.registry.input_schema import input_schema

CARD = Agent(kind="social_campaign", input_schema=input_schema(CampaignInput))

REFUSED: list[tuple[Any, str]] = [
    ({}, "input"),
    ([], "input"),
    ({"brief": "a", "brief_url": "https://example.com"}, "input"),
    ({"brief": ""}, "input.brief"),
    ({"brief": " \n "}, "input.brief"),
    ({"brief": "x" * 100_001}, "input.brief"),
    ({"brief": 7}, "input.brief"),
    ({"brief_url": "ftp://example.com/a"}, "input.brief_url"),
    ({"brief_url": "https:///nowhere"}, "input.brief_url"),
    ({"brief_url": "https://exa mple.com"}, "input.brief_url"),
    ({"brief_file": "not base64!"}, "input.brief_file"),
    ({"brief": "a", "brief_file": "YWJj"}, "input"),
    ({"brief": "a", "platforms": []}, "input.platforms"),
    ({"brief": "a", "platforms": ["x", "myspace"]}, "input.platforms[1]"),
    ({"brief": "a", "platforms": ["x", "x"]}, "input.platforms"),
    ({"brief": "a", "platforms": "x"}, "input.platforms"),
    ({"brief": "a", "tone": "angry"}, "input.tone"),
    ({"brief": "a", "audience": "x" * 121}, "input.audience"),
    ({"brief": "a", "link": "javascript:alert(1)"}, "input.link"),
    ({"brief": "a", "max_rounds": 0}, "input.max_rounds"),
    ({"brief": "a", "max_rounds": 6}, "input.max_rounds"),
    ({"brief": "a", "max_rounds": 1.5}, "input.max_rounds"),
    ({"brief": "a", "brand": {"banned_words": ["ok", " "]}}, "input.brand.banned_words[1]"),
    ({"brief": "a", "brand": {"required_phrases": ["x"] * 6}}, "input.brand.required_phrases"),
    ({"brief": "a", "brand": {"max_reading_grade": 0}}, "input.brand.max_reading_grade"),
    ({"brief": "a", "brand": {"allow_emoji": "perhaps"}}, "input.brand.allow_emoji"),
    ({"brief": "a", "brand": {"mascot": "owl"}}, "input.brand.mascot"),
    ({"brief": "a", "plattforms": ["x"]}, "input.plattforms"),
]


@pytest.mark.parametrize(("task_input", "field"), REFUSED, ids=lambda value: str(value)[:40])
def test_bad_input_is_refused_at_submission_with_its_field(task_input: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        validate_input(CARD, task_input)
    assert refusal.value.field == field


@pytest.mark.parametrize(("task_input", "field"), REFUSED, ids=lambda value: str(value)[:40])
def test_the_agent_refuses_every_input_that_submission_refuses(task_input: Any, field: str) -> None:
    with pytest.raises(ValidationError):
        CampaignInput.model_validate(task_input)


def test_the_message_says_which_of_two_fields_to_give() -> None:
    with pytest.raises(InvalidInput, match="give exactly one of brief or brief_url or brief_file"):
        validate_input(CARD, {"brief": "a", "brief_url": "https://example.com"})


@pytest.mark.parametrize(
    "task_input", [{"brief": "A lamp."}, {"brief_url": "https://example.com/a?b=c"}, {"brief_file": "YWJj"}]
)
def test_good_input_is_accepted_and_filled_with_defaults(task_input: dict[str, Any]) -> None:
    filled = validate_input(CARD, task_input)
    parsed = CampaignInput.model_validate(filled)
    assert parsed.platforms == ["x", "linkedin", "instagram"]
    assert parsed.tone == "friendly"
    assert parsed.brand.max_exclamation_marks == 3


def test_the_schema_has_every_value_that_a_form_needs() -> None:
    properties = CARD.input_schema["properties"]
    assert properties["brief"]["x-widget"] == "textarea"
    assert properties["brief"]["x-file"] is True
    assert properties["platforms"]["items"]["enum"][:2] == ["x", "linkedin"]
    assert properties["platforms"]["uniqueItems"] is True
    assert all("title" in rule and "description" in rule for rule in properties.values())
    assert all("title" in rule for rule in properties["brand"]["properties"].values())
