"""Defines the supported social platforms, their limits and how each counts characters.

Where a platform's exact count needs its own tables (emoji sequences on X, graphemes on Mastodon and Bluesky), our count
is never lower: a draft within our limit is within theirs.
"""

from __future__ import annotations

import re
import unicodedata

from swallowtail.workers.llm.provider import Platform, PlatformName
from swallowtail.workers.llm.wording import URL

#: Length that X and Mastodon count for every link, since both shorten it.
LINK_LENGTH = 23

#: Characters that X counts once; all others count twice (twitter-text configuration v3).
_SINGLE_ON_X = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))

_SHORTENED = re.compile(r"https?://(?:[a-z0-9-]+\.)+[a-z]{2,24}(?=[:/?#]|$)", re.IGNORECASE)
#: Text without a scheme that X turns into a link, such as `example.com`.
_BARE_LINK = re.compile(r"(?<![\w@./-])(?:[a-z0-9-]+\.)+[a-z]{2,24}(?![\w.])", re.IGNORECASE)


def count_characters(text: str) -> int:
    """Return the number of code points: at least the number of graphemes."""
    return len(text)


def count_utf16(text: str) -> int:
    """Return the number of UTF-16 units, as browsers and phones count: most emoji are two or more."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def count_shortened(text: str) -> int:
    """Return the number of code points, with every link as 23."""
    return len(_split_links(text)[0]) + _link_weight(text)


def count_x(text: str) -> int:
    """Return X's weighted count: Latin and similar letters once, others twice, links as 23."""
    rest, _ = _split_links(unicodedata.normalize("NFC", text))
    weight = sum(1 if any(low <= ord(char) <= high for low, high in _SINGLE_ON_X) else 2 for char in rest)
    short_links = sum(max(0, LINK_LENGTH - len(match[0])) for match in _BARE_LINK.finditer(rest))
    return weight + short_links + _link_weight(text)


def count_threads(text: str) -> int:
    """Return the number of code points, with emoji as their number of UTF-8 bytes."""
    return sum(len(char.encode("utf-8", "replace")) if _is_pictogram(char) else 1 for char in text)


def _is_pictogram(char: str) -> bool:
    return ord(char) > 0xFFFF or "\ufe00" <= char <= "\ufe0f" or unicodedata.category(char) in ("So", "Sk", "Cf")


def _split_links(text: str) -> tuple[str, list[str]]:
    """Return `text` without shortened links, and those links."""
    links = [match[0] for match in URL.finditer(text) if _SHORTENED.match(match[0])]
    return URL.sub(lambda match: "" if _SHORTENED.match(match[0]) else match[0], text), links


def _link_weight(text: str) -> int:
    return LINK_LENGTH * len(_split_links(text)[1])


#: Limits as published by each platform; X without a subscription, Mastodon by default. Hashtags: Instagram allows 5 and
#: Threads 1; the others set no number, and ours is what reads well. Facebook's limit of 63,206 characters is reduced to
#: 2,000.
PLATFORMS: dict[PlatformName, Platform] = {
    platform.name: platform
    for platform in (
        Platform("x", "X", 280, 280, count_x, 2, "line"),
        Platform("linkedin", "LinkedIn", 3000, 1200, count_utf16, 5, "list"),
        Platform("instagram", "Instagram", 2200, 800, count_utf16, 5, "list"),
        Platform("facebook", "Facebook", 2000, 600, count_utf16, 3, "paragraphs"),
        Platform("threads", "Threads", 500, 420, count_threads, 1, "paragraphs"),
        Platform("mastodon", "Mastodon", 500, 480, count_shortened, 4, "paragraphs"),
        Platform("bluesky", "Bluesky", 300, 300, count_characters, 3, "line"),
    )
}
