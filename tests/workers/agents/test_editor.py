"""The rules of the Editor, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from swallowtail.workers.agents.campaign.brief import BrandRules
from swallowtail.workers.agents.campaign.editor import check, review
from swallowtail.workers.agents.campaign.platforms import PLATFORMS
from tests.workers.agents.briefs import campaign


def rules(text: str, *, known: tuple[str, ...] = (), link: str | None = None, **brand: Any) -> list[tuple[str, str]]:
    findings = check(text, PLATFORMS["x"], BrandRules(**brand), link, set(known))
    return [(finding.rule, finding.subject) for finding in findings]


@pytest.mark.parametrize(
    ("text", "rules_of_brand", "expected"),
    [
        ("A fine lamp.", {}, []),
        (".. image:: lamp.png", {}, [("markup", ".. image::")]),
        ("See [the lamp](lamp.html).", {}, [("markup", "](")]),
        ("Use :class:`Lamp` and ``on``.", {}, [("markup", ":class:`"), ("markup", "``")]),
        ("The |version| lamp.", {}, [("markup", "|version|")]),
        ("**Bold** <b>lamp</b> &amp; more", {}, [("markup", p) for p in ("**", "<b>", "</b>", "&amp;")]),
        ("{{ lamp }} {% x %}", {}, [("markup", p) for p in ("{{", "}}", "{%", "%}")]),
        ("## Lamp\n====", {}, [("markup", "##"), ("markup", "====")]),
        ("It is a < b, a|b, a ** b, C# & R&D: :-) #Lamp", {}, [("markup", "**")]),
        ("See https://example.com/a**b", {}, []),
        ("", {}, [("empty", "")]),
        (" 👋 … ", {}, [("empty", "")]),
        ("a" * 281, {}, [("too_long", "280")]),
        ("Lamp #a #b #c", {}, [("too_many_hashtags", "2")]),
        ("No link.", {"link": "https://example.com"}, [("link", "https://example.com")]),
        ("Go to https://example.com now.", {"link": "https://example.com"}, []),
        ("A CHEAP lamp.", {"banned_words": ["cheap", "bad"]}, [("banned_word", "cheap")]),
        ("A cheaper lamp.", {"banned_words": ["cheap"]}, []),
        (
            "By noordlicht  ghent.",
            {"required_phrases": ["Noordlicht Ghent", "Since 1998"]},
            [("required_phrase", "Since 1998")],
        ),
        ("So good! So! Good!", {"max_exclamation_marks": 2}, [("exclamation_marks", "2")]),
        ("So good! So!", {"max_exclamation_marks": 2}, []),
        ("Good 👋", {"allow_emoji": False}, [("emoji", "")]),
        ("It costs 149 and 24.", {"known": ("149",)}, [("unsupported_number", "24")]),
        ("1. First\n2. Second", {}, []),
        ("See https://example.com/99 #No99", {}, []),
        ("Interdisciplinary considerations notwithstanding.", {"max_reading_grade": 8}, [("reading_grade", "8")]),
    ],
)
def test_each_rule_finds_its_fault(text: str, rules_of_brand: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert rules(text, **rules_of_brand) == expected


def test_a_finding_names_the_correction() -> None:
    findings = check("a" * 281, PLATFORMS["x"], BrandRules(), None, set())
    assert [finding.message for finding in findings] == ["Shorten it: X counts 281 characters and allows 280."]


def test_a_review_covers_every_draft_in_order() -> None:
    source = {"title": "Lamp 7", "blocks": [{"kind": "paragraph", "text": "It costs 149.", "level": 0}]}
    drafts = [{"platform": "x", "text": "Only 12 left."}, {"platform": "linkedin", "text": "Lamp 7 costs 149."}]
    reviewed = review(campaign(audience="over 30"), source, drafts)
    assert reviewed["passed"] is False
    assert [(draft["platform"], draft["passed"]) for draft in reviewed["drafts"]] == [("x", False), ("linkedin", True)]
    assert reviewed["drafts"][0]["findings"] == [
        {"rule": "unsupported_number", "message": "The source does not say 12; leave it out.", "subject": "12"}
    ]
