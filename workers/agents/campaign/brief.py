"""Defines the input of the `social_campaign` agent; its JSON Schema validates submissions and builds the form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from swallowtail.workers.agents.campaign.platforms import PLATFORMS
from swallowtail.workers.llm.provider import PlatformName, Tone

#: The sample brief; an installation has it below the package.
SAMPLE = Path(__file__).resolve().parents[3] / "examples" / "brief.md"
MAX_BRIEF = 100_000
#: Longest file in base64 characters; `SWALLOWTAIL_MAX_BODY_BYTES` limits the whole input first.
MAX_FILE = 6_000_000

Word = Annotated[str, Field(min_length=1, max_length=60, pattern=r"\S")]
Phrase = Annotated[str, Field(min_length=1, max_length=80, pattern=r"\S")]


class BrandRules(BaseModel):
    """Rules of the brand that the Editor checks in every draft."""

    model_config = ConfigDict(extra="forbid", title="Brand rules")

    banned_words: list[Word] = Field(
        default=[], title="Banned words", max_length=50, description="Words or phrases that no post may contain."
    )
    required_phrases: list[Phrase] = Field(
        default=[], title="Required phrases", max_length=5, description="Phrases that every post must contain."
    )
    max_reading_grade: float | None = Field(
        None,
        title="Highest reading grade",
        ge=1,
        le=20,
        description="School grade (Automated Readability Index) that a reader may need; leave out for no limit.",
    )
    max_exclamation_marks: int = Field(
        3, title="Most exclamation marks", ge=0, le=20, description="Exclamation marks allowed in one post."
    )
    allow_emoji: bool = Field(True, title="Emoji allowed", description="Whether posts may contain emoji.")


class CampaignInput(BaseModel):
    """A brief, as text, as a file or by its URL, and the campaign to write from it."""

    model_config = ConfigDict(
        extra="forbid",
        title="Social campaign",
        json_schema_extra={
            "examples": [{"brief": SAMPLE.read_text(encoding="utf-8"), "audience": "people who work from home"}],
            "oneOf": [
                {"required": ["brief"], "title": "Brief as text"},
                {"required": ["brief_url"], "title": "Brief at an address"},
                {"required": ["brief_file"], "title": "Brief as a file"},
            ],
        },
    )

    brief: str | None = Field(
        None,
        title="Brief",
        min_length=1,
        max_length=MAX_BRIEF,
        pattern=r"\S",
        description="The product text to work from: plain text, Markdown, reStructuredText or HTML.",
        json_schema_extra={"x-widget": "textarea", "x-file": True},
    )
    brief_url: str | None = Field(
        None,
        title="Address of the brief",
        max_length=2000,
        pattern=r"^https?://[^\s/]+\S*$",
        description="Where to read the brief instead, by http or https: a web page, PDF, DOCX or a text.",
        examples=["https://example.com/launch.html"],
        json_schema_extra={"format": "uri"},
    )
    brief_file: str | None = Field(
        None,
        title="File with the brief",
        min_length=4,
        max_length=MAX_FILE,
        pattern=r"^[A-Za-z0-9+/=\r\n]+$",
        description="The brief as a file, in base64: PDF, DOCX, HTML or a text.",
        json_schema_extra={"contentEncoding": "base64", "x-file": "base64"},
    )
    platforms: list[PlatformName] = Field(
        default=["x", "linkedin", "instagram"],
        title="Platforms",
        min_length=1,
        max_length=len(PLATFORMS),
        description="Where the posts will appear; each gets its own.",
        json_schema_extra={"uniqueItems": True},
    )
    tone: Tone = Field("friendly", title="Tone", description="How the posts should sound.")
    audience: str = Field(
        "",
        title="Audience",
        max_length=120,
        description="Whom the posts speak to.",
        examples=["people who work from a small desk at home"],
    )
    link: str | None = Field(
        None,
        title="Link",
        max_length=200,
        pattern=r"^https?://[^\s/]+\S*$",
        description="An address that every post should point to.",
        examples=["https://example.com/aurora"],
        json_schema_extra={"format": "uri"},
    )
    brand: BrandRules = Field(BrandRules(), title="Brand rules", description="Rules that every post must keep.")
    max_rounds: int = Field(
        3, title="Most rounds", ge=1, le=5, description="How often a post may be written before it needs a person."
    )

    @model_validator(mode="after")
    def _one_source(self) -> CampaignInput:
        if sum(source is not None for source in (self.brief, self.brief_url, self.brief_file)) != 1:
            raise ValueError("give exactly one of brief, brief_url and brief_file")
        if len(set(self.platforms)) != len(self.platforms):
            raise ValueError("platforms: each may be named once")
        return self
