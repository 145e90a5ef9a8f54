"""The Editor: checks every draft against the rules of the platform and the brand (step `review`, one per round)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from swallowtail.workers.agents.campaign.brief import BrandRules, CampaignInput
from swallowtail.workers.agents.campaign.platforms import PLATFORMS
from swallowtail.workers.agents.campaign.readability import reading_grade
from swallowtail.workers.llm.provider import Finding, Platform
from swallowtail.workers.llm.wording import HASHTAG, URL, find_markup_remains, has_emoji, hashtags, mentions

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_ORDINAL = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)


def review(task_input: CampaignInput, source: dict[str, Any], drafts: list[dict[str, Any]]) -> dict[str, Any]:
    """Check the drafts: `{passed, drafts: [{platform, passed, reading_grade, findings}]}`, in the order of `drafts`."""
    known = _numbers(" ".join([source["title"], *(block["text"] for block in source["blocks"])]))
    known |= _numbers(" ".join([task_input.audience, *task_input.brand.required_phrases]))
    verdicts = []
    for draft in drafts:
        findings = check(draft["text"], PLATFORMS[draft["platform"]], task_input.brand, task_input.link, known)
        verdicts.append(
            {
                "platform": draft["platform"],
                "passed": not findings,
                "reading_grade": reading_grade(draft["text"]),
                "findings": [asdict(finding) for finding in findings],
            }
        )
    return {"passed": all(verdict["passed"] for verdict in verdicts), "drafts": verdicts}


def check(text: str, platform: Platform, brand: BrandRules, link: str | None, known: set[str]) -> list[Finding]:
    """Yield every rule that a draft breaks; `known` are the numbers in the source."""
    if not re.search(r"\w", text):
        return [Finding("empty", "There is no text.")]
    return [*_check_platform(text, platform, link), *_check_brand(text, brand), *_check_numbers(text, known)]


def _check_platform(text: str, platform: Platform, link: str | None) -> Iterator[Finding]:
    length, tags = platform.measure(text), hashtags(text)
    if length > platform.limit:
        message = f"Shorten it: {platform.label} counts {length} characters and allows {platform.limit}."
        yield Finding("too_long", message, str(platform.limit))
    if len(tags) > platform.max_hashtags:
        message = f"Use at most {platform.max_hashtags} hashtags, not {len(tags)}."
        yield Finding("too_many_hashtags", message, str(platform.max_hashtags))
    for piece in find_markup_remains(text):
        yield Finding("markup", f"Take out the markup “{piece}”.", piece)
    if link and link not in text:
        yield Finding("link", f"Include the link {link}.", link)


def _check_brand(text: str, brand: BrandRules) -> Iterator[Finding]:
    for word in brand.banned_words:
        if mentions(text, word):
            yield Finding("banned_word", f"Do not use “{word}”.", word)
    for phrase in brand.required_phrases:
        if not mentions(text, phrase):
            yield Finding("required_phrase", f"Include “{phrase}”.", phrase)
    grade, highest = reading_grade(text), brand.max_reading_grade
    if highest is not None and grade > highest:
        message = f"Use shorter words and sentences: reading grade {grade:g} is above {highest:g}."
        yield Finding("reading_grade", message, f"{highest:g}")
    marks = len(re.findall("[!！]", URL.sub("", text)))
    if marks > brand.max_exclamation_marks:
        message = f"Use at most {brand.max_exclamation_marks} exclamation marks, not {marks}."
        yield Finding("exclamation_marks", message, str(brand.max_exclamation_marks))
    if not brand.allow_emoji and has_emoji(text):
        yield Finding("emoji", "Do not use emoji.")


def _check_numbers(text: str, known: set[str]) -> Iterator[Finding]:
    """Yield a finding for each number that is not in the source: it was made up."""
    for number in sorted(_numbers(_ORDINAL.sub("", text)) - known):
        yield Finding("unsupported_number", f"The source does not say {number}; leave it out.", number)


def _numbers(text: str) -> set[str]:
    return set(_NUMBER.findall(HASHTAG.sub(" ", URL.sub(" ", text))))
