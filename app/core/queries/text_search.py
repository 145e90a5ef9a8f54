"""Searches tasks for a text that their readers see."""

from __future__ import annotations

from dataclasses import dataclass

#: Most tasks that one page of a search examines.
MOST_EXAMINED = 1000


@dataclass(frozen=True, slots=True)
class TextSearch:
    """A text that the title or the kind contains, in any case; only the kind if the reader does not see titles."""

    text: str
    in_titles: bool = True

    def matches(self, title: str | None, kind: str) -> bool:
        """Return whether a task has the text."""
        text = self.text.casefold()
        return text in kind.casefold() or (self.in_titles and text in (title or "").casefold())
