"""Names and texts use the field's nouns, and stop labels agree with the walkthrough; controls add violations."""

from __future__ import annotations

import pytest

from tests.architecture import stops
from tests.architecture.source_tree import added, read_tree
from tests.architecture.texts import page_words, words

_PATH = "app/web/serving/listener.py"


def test_texts_contain_none_of_the_listed_words() -> None:
    assert words.find_text_words(read_tree()) == []


def test_names_contain_none_of_the_listed_words() -> None:
    assert words.find_name_words(read_tree()) == []


def test_pages_scripts_and_style_sheets_contain_none_of_the_listed_words() -> None:
    assert page_words.find_page_words(read_tree()) == []


def test_stop_labels_agree_with_the_walkthrough() -> None:
    assert stops.find_wrong_stops(read_tree()) == []
    assert len(stops.walkthrough_stops(read_tree())) <= stops.MOST_STOPS


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (_PATH, "# Whoever comes is let in."),
        (_PATH, 'def f():\n    """Tells whether it is open."""'),
        (_PATH, 'class A:\n    """The door."""'),
        (_PATH, "raise ValueError(f'{1} is told to nobody')"),
        (_PATH, "log.warning('the herd is heard')"),
        ("scripts/cli/new.py", '"""What somebody wishes."""'),
        ("bench/peers/new.py", "x = 1  # a road"),
        ("clients/python/new.py", '"""A client that hears."""'),
        ("tests/web/serving/new.py", '"""What is told."""'),
        ("docs/new.md", "Nobody waits."),
        ("docs/decisions/0099-new.md", "Somebody waits."),
        ("app/migrations/versions/0099_new.py", '"""What nobody waits for."""'),
        (_PATH, "x = 1  # The gate hands it over."),
        (_PATH, "x = f('every watcher sees it')"),
        ("scripts/cli/new.py", 'x: str = Option(help="Mint a token.")'),
        ("workers/run/new.py", '"""The last stage of a run."""'),
    ],
)
def test_a_listed_word_in_a_text_is_found(path: str, code: str) -> None:
    found = added(words.find_text_words, path, code)
    assert {wrong.split(":")[0].split()[0] for wrong in found} == {path}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (_PATH, "found = 1"),
        (_PATH, "def f(given): ..."),
        (_PATH, "class EventWarden: ..."),
        (_PATH, "def hear_reply(): ..."),
        (_PATH, "a.told = 1"),
        ("app/web/serving/pulse.py", ""),
        ("tests/web/serving/test_heard.py", ""),
        ("app/web/engineio/gate.py", ""),
        (_PATH, "def mint_secret(): ..."),
        (_PATH, "class EventRing: ..."),
        (_PATH, "class ClockWatch: ..."),
        (_PATH, "a.next_stage = 1"),
        (_PATH, "def farewell(): ..."),
        (_PATH, "self._voucher = 1"),
        ("workers/run/new.py", "class RunReaper: ..."),
        (_PATH, "DEAF = 1"),
        (_PATH, "log.warning('schedule_in_doubt', seconds=1)"),
        (_PATH, "self._log.info('door_opened')"),
        ("clients/python/new.py", "kept = 1"),
        ("tests/web/serving/test_new.py", "def test_what_is_told(): ..."),
    ],
)
def test_a_listed_word_in_a_name_is_found(path: str, code: str) -> None:
    assert len(added(words.find_name_words, path, code)) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("app/web/static/js/new.js", "/** What somebody wrote. */"),
        ("clients/javascript/new.js", "call(); // whatever it is"),
        ("app/web/static/js/new.js", "const lensOfTask = 1;"),
        ("app/web/static/js/new.js", "let found = 1;"),
        ("clients/javascript/new.mjs", "this.heard = 1;"),
        ("app/web/static/js/new.js", "show('Nobody is here');"),
        ("app/web/static/js/new.js", 'dispatch("door-open");'),
        ("app/web/static/js/new.js", "show(`Ask ${name} whatever`);"),
        ("app/web/static/js/new.js", "show(`a ${wish.id}`);"),
        ("app/web/templates/new.html", "<p>What somebody wrote</p>"),
        ("app/web/templates/new.html", '<p id="ear-of-page"></p>'),
        ("app/web/templates/new.html", '<p class="wide lobby"></p>'),
        ("app/web/templates/new.html", "<p data-pulse></p>"),
        ("app/web/templates/new.html", '<a title="Tell them"></a>'),
        ("app/web/templates/new.html", "{{ doubts.kind }}"),
        ("app/web/templates/new.html", "{% set script = 'lobby.js' %}"),
        ("app/web/templates/new.html", "<!-- The road. -->"),
        ("docs/new.html", "<h1>The road</h1>"),
        ("app/web/static/css/new.css", "a.watcher { color: red; }"),
        ("app/web/static/css/new.css", "#door { color: red; }"),
        ("app/web/static/css/new.css", "a { --ring: 1px; }"),
        ("app/web/static/css/new.css", "/* The door. */"),
    ],
)
def test_a_listed_word_in_a_page_or_script_is_found(path: str, code: str) -> None:
    assert len(added(page_words.find_page_words, path, code)) == 1


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("app/web/static/css/new.css", "a { outline: none; }"),
        ("app/web/static/js/new.js", 'may("token.mint"); // string, spring'),
        ("app/web/templates/new.html", '{% if "token.mint" in may %}<input name="given">{% endif %}'),
    ],
)
def test_names_of_others_in_a_page_or_script_are_not_found(path: str, code: str) -> None:
    assert added(page_words.find_page_words, path, code) == []


@pytest.mark.parametrize(
    "code",
    [
        "found_at = 1",
        "x = 'told'",
        "a = f('nobody')",
        "def watch(): ...",
        "string = 1",
        "deaf_after = 3",
        "log.info('rows_deleted')",
    ],
)
def test_other_names_are_not_found(code: str) -> None:
    assert added(words.find_text_words, _PATH, code) + added(words.find_name_words, _PATH, code) == []


@pytest.mark.parametrize(
    "docstring", ["Stop 13 of 13: listens.", "Listens. Third stop of an event.", "Listens (see stop 4)."]
)
def test_a_label_that_the_walkthrough_lacks_is_found(docstring: str) -> None:
    found = added(stops.find_wrong_stops, "app/web/serving/new.py", f'"""{docstring}"""')
    assert "app/web/serving/new.py" in {wrong.split()[0] for wrong in found}


def test_a_stop_without_a_label_is_found() -> None:
    found = added(stops.find_wrong_stops, "docs/walkthrough.md", "## 13. The end\n\n`app/core/errors.py`")
    assert "app/core/errors.py has no label (13, 13)" in found
