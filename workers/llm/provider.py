"""Defines the interface of text engines and the request for a draft.

`offline` needs neither network nor key; `openai` uses any OpenAI-compatible endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

Tone = Literal["friendly", "professional", "playful", "bold", "plain"]

#: How a post is laid out: one or two lines, a few paragraphs, or a title with a list.
Layout = Literal["line", "paragraphs", "list"]

PlatformName = Literal["x", "linkedin", "instagram", "facebook", "threads", "mastodon", "bluesky"]


class ProviderError(Exception):
    """The text engine failed this time; another try may succeed, after `retry_after` seconds if that is set."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Fact:
    """A sentence quoted from the source: `position` counts sentences from 0; a higher `score` says more.

    `grade` is its reading grade.
    """

    text: str
    position: int = 0
    score: float = 0.0
    grade: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule that a draft breaks: its name, how to fix it, and the word, phrase or number concerned."""

    rule: str
    message: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform's rules. `limit` and `target` are in its own count; `target` is the length that reads well there."""

    name: PlatformName
    label: str
    limit: int
    target: int
    measure: Callable[[str], int]
    max_hashtags: int
    layout: Layout


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """The request for one post.

    `facts` has the best first; `language` is an ISO 639-1 code, or empty if unknown; `rules` are the brand's rules as
    sentences; `findings` and `previous` are empty in the first round.
    """

    platform: Platform
    title: str
    facts: tuple[Fact, ...]
    hashtags: tuple[str, ...] = ()
    tone: Tone = "friendly"
    audience: str = ""
    link: str = ""
    language: str = "en"
    rules: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    previous: str = ""


class Provider(Protocol):
    """A text engine. `name` and `model` are shown with every text that it wrote."""

    name: str
    model: str

    def draft(self, request: DraftRequest) -> Iterator[str]:
        """Yield the post piece by piece. Raises ProviderError if another try may succeed, otherwise PermanentError."""
        ...
