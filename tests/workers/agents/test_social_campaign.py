"""The whole team on a real document: steps, rounds, replay and result."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from swallowtail.testing import FakeContext
from swallowtail.workers.agents import social_campaign
from swallowtail.workers.agents.campaign.brief import CampaignInput
from swallowtail.workers.agents.campaign.platforms import PLATFORMS
from swallowtail.workers.llm.wording import hashtags
from swallowtail.workers.reading.blocks import clean
from swallowtail.workers.run.outcomes import PermanentError, RunStopped
from tests.workers.agents.briefs import EVERYWHERE, SAMPLE, campaign
from tests.workers.reading.samples import GERMAN, HTML, MARKDOWN, RST, docx

STRICT = {
    "banned_words": ["Cheap", "headaches"],
    "required_phrases": ["Noordlicht Ghent"],
    "max_reading_grade": 9,
    "max_exclamation_marks": 0,
    "allow_emoji": False,
}


def run(ctx: FakeContext, task_input: CampaignInput) -> Any:
    return social_campaign.run(ctx, task_input)


def test_the_steps_of_a_campaign_that_passes_in_one_round() -> None:
    ctx = FakeContext()
    run(ctx, campaign(platforms=["x", "linkedin"]))
    assert ctx.summary == [
        ("plan", "Manager", "plan", "completed"),
        ("read_source", "Researcher", "read_source", "completed"),
        ("extract_facts", "Researcher", "extract_facts", "completed"),
        ("draft:x:1", "ContentCreator", "generate_content", "completed"),
        ("draft:linkedin:1", "ContentCreator", "generate_content", "completed"),
        ("review:1", "Editor", "review", "completed"),
        ("package", "Publisher", "package", "completed"),
    ]


def test_progress_rises_with_every_step_to_100() -> None:
    ctx = FakeContext()
    run(ctx, campaign(platforms=EVERYWHERE, tone="playful", brand=STRICT))
    progress = [step.progress for step in ctx.steps]
    assert None not in progress
    assert progress == sorted(set(progress), key=float)  # type: ignore[arg-type]
    assert progress[-1] == 100


def test_rejected_drafts_are_returned_and_corrected() -> None:
    ctx = FakeContext()
    result = run(ctx, campaign(platforms=["x", "facebook"], tone="playful", brand=STRICT))
    assert [step.key for step in ctx.steps] == [
        "plan",
        "read_source",
        "extract_facts",
        "draft:x:1",
        "draft:facebook:1",
        "review:1",
        "draft:x:2",
        "draft:facebook:2",
        "review:2",
        "package",
    ]
    rules = {finding["rule"] for draft in ctx.steps[5].output["drafts"] for finding in draft["findings"]}
    assert {"required_phrase", "exclamation_marks", "emoji"} <= rules
    assert result["needs_attention"] is False
    for post in result["posts"]:
        assert post["round"] == 2
        assert post["passed"] is True
        assert "Noordlicht Ghent" in post["text"]
        assert "!" not in post["text"]
        assert post["reading_grade"] <= 9


def test_only_the_drafts_that_fail_are_written_again() -> None:
    ctx = FakeContext()
    # Only LinkedIn's list is long enough to quote the survey.
    run(ctx, campaign(platforms=["x", "linkedin"], brand={"banned_words": ["survey"]}))
    keys = [step.key for step in ctx.steps]
    assert "draft:linkedin:2" in keys
    assert "draft:x:2" not in keys


def test_a_finding_that_cannot_be_corrected_is_flagged_after_the_last_round() -> None:
    ctx = FakeContext()
    result = run(
        ctx, campaign(platforms=["x"], max_rounds=3, brand={"banned_words": ["Aurora"], "max_reading_grade": 1})
    )
    assert [step.key for step in ctx.steps if step.agent == "Editor"] == ["review:1", "review:2", "review:3"]
    assert result["needs_attention"] is True
    assert result["posts"][0]["passed"] is False
    assert [finding["rule"] for finding in result["posts"][0]["findings"]] == ["reading_grade"]
    assert "1 of 1 posts need attention" in result["markdown"]
    assert "Needs attention:" in result["markdown"]


def test_one_round_means_one_round() -> None:
    ctx = FakeContext()
    result = run(ctx, campaign(platforms=["x"], max_rounds=1, brand={"required_phrases": ["Only at Noordlicht"]}))
    assert [step.key for step in ctx.steps][-3:] == ["draft:x:1", "review:1", "package"]
    assert result["needs_attention"] is True


def test_the_same_brief_gives_the_same_campaign() -> None:
    task_input = campaign(platforms=EVERYWHERE, tone="bold", brand=STRICT)
    first, second = FakeContext(), FakeContext()
    assert run(first, task_input) == run(second, task_input)
    assert first.steps == second.steps


@pytest.mark.parametrize("failing", ["plan", "extract_facts", "draft:linkedin:1", "review:1", "draft:x:2", "package"])
def test_a_second_attempt_continues_where_the_first_one_failed(failing: str) -> None:
    task_input = campaign(tone="playful", brand=STRICT)
    whole = FakeContext()
    expected = run(whole, task_input)
    first = FakeContext(failures={failing: [RuntimeError("lost")]})
    with pytest.raises(RuntimeError, match="lost"):
        run(first, task_input)
    second = FakeContext(journal=first.journal, attempt=2)
    assert run(second, task_input) == expected
    statuses = {step.key: step.status for step in second.steps}
    assert statuses[failing] == "completed"
    assert [key for key, status in statuses.items() if status == "replayed"] == [
        step.key for step in first.steps if step.status == "completed"
    ]
    assert [step.key for step in second.steps] == [step.key for step in whole.steps]


def test_drafts_stream_out_piece_by_piece() -> None:
    ctx = FakeContext()
    run(ctx, campaign(platforms=["linkedin"]))
    draft = next(step for step in ctx.steps if step.key == "draft:linkedin:1")
    assert len(draft.text) > 10
    assert "".join(draft.text).strip() == draft.output["text"]


def test_cancellation_is_noticed_while_a_draft_is_written() -> None:
    ctx = FakeContext(cancel_in="draft:linkedin:1")
    with pytest.raises(RunStopped):
        run(ctx, campaign())
    assert ctx.summary[-1] == ("draft:linkedin:1", "ContentCreator", "generate_content", "failed")


@pytest.mark.parametrize("tone", ["friendly", "professional", "playful", "bold", "plain"])
def test_every_quotation_in_every_post_is_in_the_source(tone: str) -> None:
    result = run(FakeContext(), campaign(platforms=EVERYWHERE, tone=tone, audience="home workers"))
    source = clean(SAMPLE.replace("|", "–"))
    for post in result["posts"]:
        quoted = [fact for fact in result["facts"] if fact in post["text"]]
        assert quoted, post
        assert len("".join(quoted)) > len(post["text"]) / 2
    for fact in result["facts"]:
        assert fact in source


def test_every_post_is_within_its_platforms_rules() -> None:
    result = run(FakeContext(), campaign(platforms=EVERYWHERE, tone="playful", link="https://example.com/aurora"))
    assert [post["platform"] for post in result["posts"]] == EVERYWHERE
    for post in result["posts"]:
        platform = PLATFORMS[post["platform"]]
        assert platform.measure(post["text"]) == post["length"] <= platform.limit
        assert hashtags(post["text"]) == post["hashtags"]
        assert 1 <= len(post["hashtags"]) <= platform.max_hashtags
        assert "#AuroraOne" in post["hashtags"]
        assert "https://example.com/aurora" in post["text"]


def test_the_result_says_who_wrote_it_and_from_what() -> None:
    result = run(FakeContext(), campaign(platforms=["x", "mastodon"]))
    assert result["title"] == "Aurora One desk lamp"
    assert (result["provider"], result["model"]) == ("offline", "extractive-1")
    assert result["source"] == {
        "origin": "brief",
        "format": "markdown",
        "words": 700,
        "cut": False,
        "left_out": ["Tone and internal notes"],
    }
    assert result["key_phrases"][:2] == ["Aurora One", "desk lamp"]
    markdown = result["markdown"]
    assert markdown.startswith("# Aurora One desk lamp\n\nEvery post keeps every rule. Written by the offline provider")
    for post in result["posts"]:
        assert f"```text\n{post['text']}\n```" in markdown


def test_internal_sections_are_never_quoted() -> None:
    result = run(FakeContext(), campaign(platforms=EVERYWHERE))
    for secret in ("Denmark", "budget", "medical", "cures"):
        assert secret not in result["markdown"]


@pytest.mark.parametrize("brief", ["\u200b\u200b", "\x00\x01 \x7f", "---\n\n***\n", "<!-- nothing -->"])
def test_a_brief_without_words_fails_without_retry_and_names_the_field(brief: str) -> None:
    ctx = FakeContext()
    with pytest.raises(PermanentError, match=r"input\.brief: there are no words"):
        run(ctx, campaign(brief))
    assert ctx.summary[-1] == ("read_source", "Researcher", "read_source", "failed")


@pytest.mark.parametrize("source", [RST, MARKDOWN, HTML], ids=["restructuredtext", "markdown", "html"])
def test_the_readme_of_a_project_gives_posts_without_any_markup(source: str) -> None:
    result = run(FakeContext(), campaign(source, platforms=EVERYWHERE))
    assert result["title"] == "Tideline"
    assert result["needs_attention"] is False
    shown = " ".join([*(post["text"] for post in result["posts"]), *result["facts"], *result["key_phrases"]])
    for piece in ("image", "http", "pip", "badge", "target", "Version", "Build", "npm", "::", "`", "|", "](", "[", "<"):
        assert piece not in shown, piece


def test_a_german_brief_gives_german_posts() -> None:
    result = run(FakeContext(), campaign(GERMAN, platforms=["x", "linkedin"]))
    x, linkedin = (post["text"] for post in result["posts"])
    assert x.startswith("👋 Das Café am Hafen\n\nDas Café am Hafen öffnet am 3. Mai 2026 in der Hafenstraße 12.")
    assert "Gut zu wissen:\n• Das Café" in linkedin
    assert "sprechen" not in linkedin
    assert (result["language"], result["source"]["format"]) == ("de", "plain")
    assert result["source"]["left_out"] == ["Interne Hinweise"]
    assert "(German); not quoted: Interne Hinweise." in result["markdown"]
    for post in result["posts"]:
        assert not [tag for tag in post["hashtags"] if tag.startswith(("#Der", "#Die", "#Das", "#In"))]


@pytest.mark.parametrize(
    ("brief", "language", "opener"),
    [
        (
            "# Le Café\n\nLe café du port est ouvert tous les jours, et il a une terrasse pour tous.",
            "fr",
            "Bon à savoir",
        ),
        ("# El Café\n\nEl café del puerto abre todos los días y tiene una terraza para todos.", "es", "Conviene saber"),
        ("# De lamp\n\nDe lamp is gemaakt in Gent en kost niet veel, maar is er voor altijd.", "nl", ""),
        ("# ランプ\n\n日本語のランプについての短い文章です。明るくて静かです。", "ja", ""),
    ],
)
def test_the_opening_is_in_the_language_of_the_brief_or_there_is_none(
    brief: str, language: str | None, opener: str
) -> None:
    result = run(FakeContext(), campaign(brief, platforms=["linkedin"]))
    assert result["language"] == language
    lines = result["posts"][0]["text"].splitlines()
    assert lines[2].startswith(opener or "• ")


def test_a_brief_may_come_as_a_file() -> None:
    body = docx(("Titel", "Aurora One"), ("", "The lamp is silent and follows the daylight all day."))
    task_input = CampaignInput(brief_file=base64.b64encode(body).decode(), platforms=["x"])
    result = run(FakeContext(), task_input)
    assert (result["title"], result["source"]["origin"], result["source"]["format"]) == ("Aurora One", "file", "docx")
    assert "The lamp is silent" in result["posts"][0]["text"]


@pytest.mark.parametrize(
    ("content", "message"),
    [("YWJjZA", "input.brief_file: this is not base64"), ("iVBORw0KGgo=", "cannot be read: it is an image")],
)
def test_an_unreadable_file_fails_without_retry(content: str, message: str) -> None:
    with pytest.raises(PermanentError, match=message):
        run(FakeContext(), CampaignInput(brief_file=content, platforms=["x"]))
