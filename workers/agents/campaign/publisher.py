"""The Publisher: assembles the finished posts into the result of the task (step `package`)."""

from __future__ import annotations

import re
from typing import Any

from swallowtail.workers.llm.prompts import LANGUAGES


def package(
    plan: dict[str, Any], source: dict[str, Any], research: dict[str, Any], posts: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the campaign as JSON, with the same as Markdown under `markdown`.

    `language` is an ISO 639-1 code, or None; `needs_attention` is true if a post has `findings`.
    """
    facts = sorted(research["facts"], key=lambda fact: fact["position"])
    result: dict[str, Any] = {
        "title": source["title"] or "Campaign",
        "needs_attention": any(post["findings"] for post in posts),
        "provider": plan["provider"],
        "model": plan["model"],
        "language": source["language"] or None,
        "source": {key: source[key] for key in ("origin", "format", "words", "cut", "left_out")},
        "tone": plan["tone"],
        "audience": plan["audience"],
        "posts": posts,
        "facts": [fact["text"] for fact in facts],
        "key_phrases": research["phrases"],
    }
    return {**result, "markdown": write_markdown(result)}


def write_markdown(result: dict[str, Any]) -> str:
    """Return the package as Markdown, with every post in a block that can be copied."""
    lines = [f"# {_plain(result['title'])}", "", _summary(result), ""]
    for post in result["posts"]:
        lines += [f"## {post['label']} ({post['length']} of {post['limit']} characters)", ""]
        fence = _fence(post["text"])
        lines += [f"{fence}text", post["text"], fence, ""]
        if post["findings"]:
            lines += ["Needs attention:", "", *(f"- {_plain(finding['message'])}" for finding in post["findings"]), ""]
    lines += ["## Quoted from the source", "", *(f"- {_plain(fact)}" for fact in result["facts"]), ""]
    if result["key_phrases"]:
        lines += ["Key phrases: " + ", ".join(_plain(phrase) for phrase in result["key_phrases"]), ""]
    return "\n".join(lines)


def _summary(result: dict[str, Any]) -> str:
    count = sum(bool(post["findings"]) for post in result["posts"])
    state = f"{count} of {len(result['posts'])} posts need attention" if count else "Every post keeps every rule"
    source = result["source"]
    origin = {"brief": "the brief", "file": "the file"}.get(source["origin"]) or _plain(source["origin"])
    writer = f"the {result['provider']} provider ({result['model']})"
    language = result["language"]
    text = f"{state}. Written by {writer} from {source['words']} words of {origin}"
    text += f" ({LANGUAGES.get(language, language)})" if language else " (in a language that was not recognised)"
    left_out = ", ".join(_plain(heading) for heading in source["left_out"])
    return text + (f"; not quoted: {left_out}." if left_out else ".")


def _plain(text: str) -> str:
    """Return text escaped for Markdown."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", text)


def _fence(text: str) -> str:
    """Return a fence longer than any run of backticks in the text."""
    return "`" * max(3, *(len(run) + 1 for run in re.findall(r"`+", text)), 3)
