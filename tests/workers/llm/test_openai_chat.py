"""The OpenAI text engine against a real HTTP server, with valid and invalid answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from swallowtail.app.core.config.settings import Settings
from swallowtail.testing import FakeContext
from swallowtail.workers.agents import social_campaign
from swallowtail.workers.llm.engine import open_provider
from swallowtail.workers.llm.offline import OfflineProvider
from swallowtail.workers.llm.openai_chat import OpenAIProvider
from swallowtail.workers.llm.provider import DraftRequest, Fact, Finding, Platform, ProviderError
from swallowtail.workers.run.outcomes import PermanentError
from tests.harness.settings import make_settings
from tests.workers.agents.briefs import campaign
from tests.workers.llm.servers import DONE, Handler, WebServer, chunk, serving, stream

REQUEST = DraftRequest(
    platform=Platform("x", "X", 280, 280, len, 2, "line"),
    title="Aurora One",
    facts=(Fact("The lamp costs 149 euros."), Fact("It is made in Ghent.")),
    hashtags=("#AuroraOne",),
    tone="playful",
    audience="students",
    link="https://example.com",
    rules=("Never use: cheap.",),
)


def settings_for(server: WebServer | None, **more: Any) -> Settings:
    base = {"openai_base_url": f"{server.url}/v1"} if server else {}
    values = {"llm_provider": "openai", "openai_api_key": SecretStr("sk-secret"), "openai_timeout": 30, **base, **more}
    return make_settings(**values)


def draft(answer: Callable[[Handler], None], **more: Any) -> list[str]:
    with serving(answer) as server:
        return list(OpenAIProvider(settings_for(server, **more)).draft(REQUEST))


def refuse(status: int, **error: Any) -> Callable[[Handler], None]:
    body = json.dumps({"error": error}).encode()
    return lambda handler: handler.send(status, body, Content_Type="application/json")


def test_a_draft_arrives_piece_by_piece() -> None:
    def answer(handler: Handler) -> None:
        stream(handler, chunk(""), chunk("Good "), chunk("light 👋"), chunk(None, "stop"), DONE)

    assert draft(answer) == ["Good ", "light 👋"]


def test_pieces_arrive_before_the_answer_is_complete() -> None:
    with serving(lambda handler: None) as server:

        def answer(handler: Handler) -> None:
            stream(handler, chunk("first"))
            server.over.wait(60)
            handler.wfile.write(chunk("second", "stop") + DONE)

        server.answer = answer
        pieces = OpenAIProvider(settings_for(server)).draft(REQUEST)
        assert next(pieces) == "first"
        server.over.set()
        assert list(pieces) == ["second"]


def test_the_request_is_a_streaming_chat_completion_with_everything_the_writer_must_know() -> None:
    with serving(lambda handler: stream(handler, chunk("x", "stop"), DONE)) as server:
        list(OpenAIProvider(settings_for(server, openai_model="tiny")).draft(REQUEST))
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v1/chat/completions")
    assert asked.headers["authorization"] == "Bearer sk-secret"
    sent = asked.json()
    assert (sent["model"], sent["stream"]) == ("tiny", True)
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    text = sent["messages"][1]["content"]
    parts = ("X", "280", "playful", "students", "#AuroraOne", "https://example.com", "Never use: cheap.", "149 euros")
    assert [part for part in parts if part not in text] == []


def test_a_draft_that_was_sent_back_is_sent_along_with_the_findings() -> None:
    again = DraftRequest(
        **{name: getattr(REQUEST, name) for name in DraftRequest.__slots__ if name not in ("findings", "previous")},
        findings=(Finding("banned_word", "Do not use “cheap”.", "cheap"),),
        previous="A cheap lamp.",
    )
    with serving(lambda handler: stream(handler, chunk("x", "stop"), DONE)) as server:
        list(OpenAIProvider(settings_for(server)).draft(again))
    messages = server.asked[0].json()["messages"]
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"] == "A cheap lamp."
    assert "Do not use “cheap”." in messages[3]["content"]


def test_a_server_without_a_key_is_fine_when_it_is_not_the_official_one() -> None:
    with serving(lambda handler: stream(handler, chunk("ok", "stop"), DONE)) as server:
        provider = OpenAIProvider(settings_for(server, openai_api_key=SecretStr("")))
        assert list(provider.draft(REQUEST)) == ["ok"]


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, {"message": "Incorrect API key"}, "provider_auth"),
        (403, {"message": "Not for you"}, "provider_auth"),
        (404, {"message": "The model does not exist", "code": "model_not_found"}, "provider_refused"),
        (400, {"message": "Bad request"}, "provider_refused"),
        (429, {"message": "You exceeded your quota", "code": "insufficient_quota"}, "provider_quota"),
    ],
)
def test_errors_that_a_retry_cannot_solve_are_permanent(status: int, error: dict[str, str], code: str) -> None:
    with pytest.raises(PermanentError) as failure:
        draft(refuse(status, **error))
    assert failure.value.code == code
    assert str(status) in str(failure.value)
    assert error["message"] in str(failure.value)
    assert "sk-secret" not in str(failure.value)


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 529])
def test_errors_that_a_retry_may_solve_are_not_permanent(status: int) -> None:
    with serving(refuse(status, message="later")) as server:
        with pytest.raises(ProviderError, match=f"answered {status}: later"):
            list(OpenAIProvider(settings_for(server)).draft(REQUEST))
        assert len(server.asked) == 1  # the library must not retry


def test_the_endpoint_may_say_how_long_to_wait() -> None:
    with pytest.raises(ProviderError) as busy:
        draft(lambda handler: handler.send(429, b"{}", Content_Type="application/json", Retry_After="7"))
    assert busy.value.retry_after == 7.0


def test_an_error_page_that_is_not_json_is_reported_without_the_page() -> None:
    with pytest.raises(ProviderError, match=r"^the endpoint answered 502$"):
        draft(lambda handler: handler.send(502, b"<html>Bad gateway</html>", Content_Type="text/html"))


def test_a_connection_cut_in_the_middle_is_an_error() -> None:
    def cut_chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        piece = chunk("half a ")
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    with pytest.raises(ProviderError, match="connection to the endpoint failed"):
        draft(cut_chunked)
    with pytest.raises(ProviderError, match="broke off"):
        draft(lambda handler: stream(handler, chunk("half a ")))
    with pytest.raises(ProviderError, match="broke off"):
        draft(lambda handler: stream(handler, DONE))


@pytest.mark.parametrize(
    "event",
    [b"data: {not json\n\n", b'data: {"choices": 7}\n\n', b'data: "text"\n\n', b"data: \xff\xfe\n\n", b"<html></html>"],
)
def test_an_answer_that_is_not_the_protocol_is_an_error(event: bytes) -> None:
    with pytest.raises(ProviderError):
        draft(lambda handler: stream(handler, event))


def test_an_error_inside_the_stream_is_an_error() -> None:
    with pytest.raises(ProviderError, match="overloaded"):
        draft(lambda handler: stream(handler, chunk("a"), b'data: {"error": {"message": "overloaded"}}\n\n'))


@pytest.mark.parametrize(("reason", "error"), [("length", ProviderError), ("content_filter", PermanentError)])
def test_an_answer_that_ended_early_is_an_error(reason: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        draft(lambda handler: stream(handler, chunk("half a", reason), DONE))


def test_silence_times_out() -> None:
    def answer(handler: Handler) -> None:
        stream(handler, chunk("a"))
        handler.server.over.wait(60)

    with pytest.raises(ProviderError, match="did not answer in time"):
        draft(answer, openai_timeout=0.2)


def test_a_refused_connection_is_an_error_worth_another_try() -> None:
    with serving(lambda handler: None) as server:
        settings = settings_for(server)
    with pytest.raises(ProviderError, match="connection to the endpoint failed"):
        list(OpenAIProvider(settings).draft(REQUEST))


def test_the_official_endpoint_needs_a_key() -> None:
    with pytest.raises(PermanentError, match="SWALLOWTAIL_OPENAI_API_KEY is not set"):
        OpenAIProvider(settings_for(None, openai_api_key=SecretStr("")))


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(PermanentError, match=r"pip install 'swallowtail\[openai\]'"):
        OpenAIProvider(settings_for(None))


def test_the_settings_choose_the_provider() -> None:
    assert isinstance(open_provider(make_settings()), OfflineProvider)
    assert isinstance(open_provider(settings_for(None)), OpenAIProvider)


def test_a_campaign_written_by_the_endpoint_is_edited_until_it_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    drafts = ["Only 99 lamps left! " + "word " * 80, "Aurora One follows the daylight. #AuroraOne"]

    def answer(handler: Handler) -> None:
        pieces = drafts[len(handler.server.asked) - 1].split(" ")
        stream(handler, *(chunk(piece + " ") for piece in pieces), chunk(None, "stop"), DONE)

    with serving(answer) as server:
        monkeypatch.setenv("SWALLOWTAIL_LLM_PROVIDER", "openai")
        monkeypatch.setenv("SWALLOWTAIL_OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("SWALLOWTAIL_OPENAI_MODEL", "tiny")
        ctx = FakeContext()
        result: dict[str, Any] = social_campaign.run(ctx, campaign(platforms=["x"]))
    findings = {finding["rule"] for finding in ctx.steps[4].output["drafts"][0]["findings"]}
    assert findings == {"too_long", "unsupported_number"}
    assert [step.key for step in ctx.steps][3:] == ["draft:x:1", "review:1", "draft:x:2", "review:2", "package"]
    assert (result["provider"], result["model"], result["needs_attention"]) == ("openai", "tiny", False)
    assert result["posts"][0]["text"] == "Aurora One follows the daylight. #AuroraOne"
    assert "leave it out" in server.asked[1].json()["messages"][3]["content"]
