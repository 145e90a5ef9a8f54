"""The `social_campaign` agent: a team of agents turns one brief into posts, each step saved.

The Manager plans, the Researcher reads and extracts facts, the ContentCreator writes one post per platform, the Editor
reviews, rejected posts are written again in the next round, and the Publisher packages the result.
"""

from __future__ import annotations

from typing import Any

from swallowtail.context import Context
from swallowtail.workers.agents.campaign.brief import CampaignInput
from swallowtail.workers.agents.campaign.content_creator import generate_content
from swallowtail.workers.agents.campaign.editor import review
from swallowtail.workers.agents.campaign.manager import plan
from swallowtail.workers.agents.campaign.platforms import PLATFORMS
from swallowtail.workers.agents.campaign.publisher import package
from swallowtail.workers.agents.campaign.researcher import extract_facts, read_source
from swallowtail.workers.llm.pace import Pace
from swallowtail.workers.llm.provider import PlatformName
from swallowtail.workers.registry.declaration import agent

#: Percent of the task that is done after the research, and after the last possible review.
RESEARCHED, REVIEWED = 20.0, 95.0

Output = dict[str, Any]


@agent(kind="social_campaign", title="Social campaign", input=CampaignInput, version="1")
def run(ctx: Context, task_input: CampaignInput) -> Any:
    """Turns a product brief into posts for social platforms.

    A team plans, reads the brief, extracts quotable facts, writes one post per platform within its rules, reviews every
    draft against the brand's rules, and packages the posts as Markdown and JSON.
    """
    planned = ctx.step(
        "plan", plan, task_input, agent="Manager", action="plan", progress=5, message="Planned the campaign"
    )
    source, research = _research(ctx, task_input)
    posts = _write(ctx, task_input, source, research)
    return ctx.step(
        "package",
        package,
        planned,
        source,
        research,
        [posts[name] for name in task_input.platforms],
        agent="Publisher",
        action="package",
        progress=100,
        message="Packaged the campaign",
    )


def _research(ctx: Context, task_input: CampaignInput) -> tuple[Output, Output]:
    """Return the source and its facts."""
    source = ctx.step(
        "read_source",
        read_source,
        task_input,
        agent="Researcher",
        action="read_source",
        progress=10,
        message="Read the brief",
    )
    research = ctx.step(
        "extract_facts",
        extract_facts,
        source,
        agent="Researcher",
        action="extract_facts",
        progress=RESEARCHED,
        message="Extracted facts and key phrases",
    )
    return source, research


def _write(ctx: Context, task_input: CampaignInput, source: Output, research: Output) -> dict[PlatformName, Output]:
    """Return the posts by platform, each with its last round and the Editor's remaining findings."""
    pace = Pace.of_run(ctx.instance_id)
    posts: dict[PlatformName, Output] = {}
    returned: dict[PlatformName, Output] = {}
    pending = list(task_input.platforms)
    for number in range(1, task_input.max_rounds + 1):
        drafts = _draft(ctx, pace, task_input, source, research, returned, pending, number)
        reviewed = ctx.step(
            f"review:{number}",
            review,
            task_input,
            source,
            drafts,
            agent="Editor",
            action="review",
            progress=_percent(task_input, number, 1.0),
            message=f"Reviewed round {number}",
        )
        for draft, verdict in zip(drafts, reviewed["drafts"], strict=True):
            name = draft["platform"]
            posts[name] = {**draft, "round": number, **verdict}
            returned[name] = _send_back(draft["text"], verdict["findings"], returned.get(name))
        pending = [name for name in pending if not posts[name]["passed"]]
        if not pending:
            break
    return posts


def _draft(
    ctx: Context,
    pace: Pace,
    task_input: CampaignInput,
    source: Output,
    research: Output,
    returned: dict[PlatformName, Output],
    pending: list[PlatformName],
    number: int,
) -> list[Output]:
    """Write one round of drafts for the platforms that still need one."""
    return [
        ctx.step(
            f"draft:{name}:{number}",
            generate_content,
            ctx,
            pace,
            task_input,
            name,
            source,
            research,
            returned.get(name),
            agent="ContentCreator",
            action="generate_content",
            progress=_percent(task_input, number, done / (len(pending) + 1)),
            message=f"Wrote {PLATFORMS[name].label}, round {number}",
        )
        for done, name in enumerate(pending, start=1)
    ]


def _send_back(text: str, findings: list[Output], before: Output | None) -> Output:
    """Return the input of the next round: the findings of every round so far, so that one fix does not undo another."""
    earlier = before["findings"] if before else []
    return {"text": text, "findings": earlier + [finding for finding in findings if finding not in earlier]}


def _percent(task_input: CampaignInput, number: int, part: float) -> float:
    """Return the percentage once `part` of a round is done: each round gets half of the rest, the last one all."""
    start = RESEARCHED
    for _ in range(number - 1):
        start += (REVIEWED - start) / 2
    share = (REVIEWED - start) * (1.0 if number == task_input.max_rounds else 0.5)
    return round(start + share * part, 1)
