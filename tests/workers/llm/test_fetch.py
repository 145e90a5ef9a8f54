"""The document fetcher against a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from swallowtail.app.core.config.settings import Settings
from swallowtail.testing import FakeContext
from swallowtail.workers.agents import social_campaign
from swallowtail.workers.agents.campaign.brief import CampaignInput
from swallowtail.workers.llm.connect import FetchError
from swallowtail.workers.llm.fetch import FetchedDocument, fetch_document
from swallowtail.workers.run.outcomes import PermanentError
from tests.harness.settings import make_settings
from tests.workers.agents.briefs import SAMPLE
from tests.workers.llm.servers import Handler, serving


def settings(**values: Any) -> Settings:
    return make_settings(**{"fetch_allow_private": True, "fetch_timeout": 30, **values})


def fetch(answer: Callable[[Handler], None], path: str = "/brief", **values: Any) -> FetchedDocument:
    with serving(answer) as server:
        return fetch_document(server.url + path, settings(**values))


def page(body: bytes, kind: str = "text/plain; charset=utf-8", **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.send(200, body, Content_Type=kind, **headers)


def test_a_document_is_returned_unchanged() -> None:
    with serving(page("# Grüße 👋\n".encode(), "text/markdown")) as server:
        document = fetch_document(f"{server.url}/a b?q=ü&x=%20#part", settings())
    address = f"{server.url}/a b?q=ü&x=%20#part"
    assert document == FetchedDocument(address, "text/markdown", None, "# Grüße 👋\n".encode())
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("GET", "/a%20b?q=%C3%BC&x=%20")
    assert asked.headers["host"] == f"127.0.0.1:{server.port}"
    assert asked.headers["accept-encoding"] == "identity"
    assert "cookie" not in asked.headers


@pytest.mark.parametrize(
    ("kind", "charset"),
    [
        ("text/html; charset=ISO-8859-1", "iso-8859-1"),
        ("text/plain", None),
        ("text/plain; charset=undefined", "undefined"),
        ("text/plain; charset=idna", "idna"),
        ("text/plain; charset*=utf-8''x", None),
        ("application/pdf", None),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", None),
        ("application/octet-stream", None),
        ("text/x-rst; charset='utf-8'", "utf-8"),
    ],
)
def test_the_headers_of_a_document_are_passed_on_as_hints(kind: str, charset: str | None) -> None:
    document = fetch(page(b"x", kind))
    assert (document.content_type, document.charset, document.body) == (kind.partition(";")[0], charset, b"x")


def test_redirects_are_followed_to_where_they_lead() -> None:
    def answer(handler: Handler) -> None:
        if handler.path == "/brief":
            handler.send(302, b"", Location="/elsewhere?x=1")
        else:
            page(b"found")(handler)

    with serving(answer) as server:
        document = fetch_document(f"{server.url}/brief", settings())
    assert (document.url, document.body) == (f"{server.url}/elsewhere?x=1", b"found")


def test_endless_redirects_end() -> None:
    with serving(lambda handler: handler.send(301, b"", Location="/again")) as server:
        with pytest.raises(PermanentError, match="more than 5 redirects"):
            fetch_document(server.url, settings())
        assert len(server.asked) == 6


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://user@127.0.0.1/", "//", "http://["]
)
def test_a_redirect_to_something_else_is_refused(target: str) -> None:
    with pytest.raises(PermanentError) as failure:
        fetch(lambda handler: handler.send(302, b"", Location=target))
    assert failure.value.code == "fetch_refused"


@pytest.mark.parametrize(
    ("status", "error"), [(404, PermanentError), (410, PermanentError), (403, PermanentError), (204, PermanentError)]
)
def test_a_document_that_is_not_there_is_permanent(status: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"answered {status}"):
        fetch(lambda handler: handler.send(status, b""))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_server_in_trouble_is_worth_another_try(status: int) -> None:
    with pytest.raises(FetchError, match=f"answered {status}"):
        fetch(lambda handler: handler.send(status, b""))


@pytest.mark.parametrize("kind", ["application/zip", "image/png", "application/json", "nonsense/type"])
def test_other_kinds_of_documents_are_refused(kind: str) -> None:
    with pytest.raises(PermanentError, match=f"type {kind} cannot be read"):
        fetch(page(b"x", kind))


def test_compressed_bodies_are_refused() -> None:
    with pytest.raises(PermanentError, match="'gzip'"):
        fetch(page(b"\x1f\x8b", Content_Encoding="gzip"))


def test_a_document_larger_than_allowed_is_refused_by_its_length_and_by_its_body() -> None:
    with pytest.raises(PermanentError, match="larger than 2000 bytes"):
        fetch(page(b"x" * 2001), fetch_max_bytes=2000)

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.end_headers()
        while True:  # until the client hangs up
            handler.wfile.write(b"x" * 65536)

    with pytest.raises(PermanentError, match="larger than 2000 bytes"):
        fetch(endless, fetch_max_bytes=2000)
    assert len(fetch(page(b"x" * 2000), fetch_max_bytes=2000).body) == 2000


@pytest.mark.parametrize("size", [b"-1", b"-5", b"-7fffffff", b"f" * 100])
def test_a_chunk_of_an_impossible_size_is_read_no_further_than_a_document_may_be(size: bytes) -> None:
    written: list[int] = []

    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(size + b"\r\n")
        # More than the buffers of a connection can hold.
        for _ in range(1000):
            written.append(handler.connection.send(b"a" * 65_536))

    with pytest.raises(PermanentError, match="larger than 65536 bytes"):
        fetch(answer, fetch_max_bytes=65_536)
    assert sum(written) < 1000 * 65_536


@pytest.mark.parametrize("kind", ['text/html; a="' + ";" * 20_000, "text/html" + "; charset*0=a" * 3000])
def test_a_media_type_of_any_length_is_not_parsed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("email.message._parseparam", lambda _: pytest.fail("it is taken apart"))
    with pytest.raises(PermanentError, match="Content-Type has more than"):
        fetch(page(b"x", kind))


def test_a_body_cut_short_is_worth_another_try() -> None:
    def cut(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/plain")
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)

    with pytest.raises(FetchError, match="broke off"):
        fetch(cut)


@pytest.mark.parametrize("trickle", ["nothing", "headers", "body"])
def test_a_server_that_trickles_cannot_outlast_the_total_time(trickle: str) -> None:
    def answer(handler: Handler) -> None:
        if trickle == "body":
            handler.send_response(200)
            handler.send_header("Content-Type", "text/plain")
            handler.end_headers()
        elif trickle == "headers":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not handler.server.over.wait(0.05):
            if trickle != "nothing":
                handler.wfile.write(b"x")

    with pytest.raises(FetchError, match="took too long"):
        fetch(answer, fetch_timeout=0.5)


def speak_ssh(handler: Handler) -> None:
    handler.wfile.write(b"SSH-2.0-whatever\r\n")


def test_an_answer_that_is_not_http_is_worth_another_try() -> None:
    with pytest.raises(FetchError):
        fetch(speak_ssh)


def test_a_refused_connection_is_worth_another_try() -> None:
    with serving(lambda handler: None) as server:
        url = server.url
    with pytest.raises(FetchError, match=r"fetching from 127\.0\.0\.1 failed"):
        fetch_document(url, settings())


def test_no_thread_is_left_behind() -> None:
    before = threading.active_count()
    fetch(page(b"x"))
    assert threading.active_count() == before


def test_a_campaign_reads_its_brief_from_a_web_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWALLOWTAIL_FETCH_ALLOW_PRIVATE", "true")
    with serving(page(SAMPLE.encode(), "text/markdown; charset=utf-8")) as server:
        ctx = FakeContext()
        task_input = CampaignInput(brief_url=f"{server.url}/brief.md", platforms=["x"])
        result: Any = social_campaign.run(ctx, task_input)
    assert result["title"] == "Aurora One desk lamp"
    assert result["source"]["origin"] == f"{server.url}/brief.md"
    assert len(server.asked) == 1
