"""Lists of tasks by time and by a text in titles and kinds, page by page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from swallowtail.app.core.queries import rows
from swallowtail.app.core.queries.text_search import TextSearch
from swallowtail.app.core.tables.tasks import Task
from tests.core.domain import Domain

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def _pages(domain: Domain, limit: int = 10, **criteria: Any) -> list[list[str]]:
    pages: list[list[str]] = []
    cursor = None
    while cursor is not None or not pages:
        with domain.db.read() as session:
            page, cursor = rows.list_tasks(session, "demo", limit=limit, cursor=cursor, **criteria)
        pages.append([task["id"] for task in page])
    return pages


def _title(domain: Domain, *titles: str) -> list[str]:
    """Submit a task with each title, a minute apart; return their ids."""
    ids = [domain.submit() for _ in titles]
    with domain.db.write() as session:
        for number, (task_id, title) in enumerate(zip(ids, titles, strict=True)):
            values = {"title": title, "created_at": BEGINNING + timedelta(minutes=number)}
            session.execute(update(Task).where(Task.id == task_id).values(**values))
    return ids


def test_tasks_are_listed_by_their_time(domain: Domain) -> None:
    first, second, third = _title(domain, "a", "b", "c")
    middle = BEGINNING + timedelta(minutes=1)
    assert _pages(domain, since=middle) == [[third, second]]
    assert _pages(domain, until=middle) == [[first]]
    assert _pages(domain, since=middle, until=middle) == [[]]
    assert _pages(domain, 1, since=middle) == [[third], [second]]


def test_titles_and_kinds_are_searched_in_any_case(domain: Domain) -> None:
    strasse, percent, other = _title(domain, "Straße ÉTÉ", "100% a_b", "Other")
    odd = domain.submit(kind="odd_kind")
    for text, ids in (
        ("STRASSE", [strasse]), ("été", [strasse]), ("%", [percent]), ("A_B", [percent]), ("a.b", []),
        ("other", [other]), ("ODD", [odd]), ("\x00", []),
    ):  # fmt: skip
        assert _pages(domain, search=TextSearch(text)) == [ids], text
    assert _pages(domain, search=TextSearch("other", in_titles=False)) == [[]]
    assert _pages(domain, search=TextSearch("odd", in_titles=False)) == [[odd]]


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_a_page_examines_a_limited_number_of_tasks(domain: Domain, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(rows, "MOST_EXAMINED", 3)
    ids = _title(domain, "match", "x", "x", "x", "match", "match", "match", "x")
    pages = _pages(domain, limit, search=TextSearch("match"))
    assert [task_id for page in pages for task_id in page] == [ids[6], ids[5], ids[4], ids[0]]
    assert len(pages) >= 3


def test_a_secret_in_a_title_cannot_be_found(domain: Domain) -> None:
    (task_id,) = _title(domain, "Deploy with ghp_abcdefghijklmnopqrstuvwxyz0123456789")
    assert _pages(domain, search=TextSearch("ghp_abc")) == [[]]
    assert _pages(domain, search=TextSearch("deploy")) == [[task_id]]
